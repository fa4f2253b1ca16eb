"""The OpenAI-compatible API over HTTP: wire formats, access, admission, metrics, logs."""
