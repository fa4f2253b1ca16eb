"""Tunewise measures, on your own examples, whether fine-tuning a language model is worth it."""

import os

__version__ = "0.1.0"

# No telemetry: huggingface_hub reads this once, when it is first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
