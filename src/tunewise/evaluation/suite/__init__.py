"""What a language model can do beside its task: questions and instructions with checkable answers.

All of it was written for Tunewise, by hand or from a seed.
"""
