"""A vllm server on another machine as the engine: asked over HTTP, with adapters loaded into it."""
