"""The OpenAI-compatible API: what won, at work behind a name, and a fine-tuning service."""
