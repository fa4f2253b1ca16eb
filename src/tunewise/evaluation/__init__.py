"""Answers on the test split, and their scores."""
