"""The fine-tuning API: uploaded files, durable jobs, the worker that trains, and their proof."""
