"""Tunewise measures, on your own examples, whether fine-tuning a language model is worth it."""

__version__ = "0.1.0"
