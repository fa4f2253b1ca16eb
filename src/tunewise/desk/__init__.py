"""The web page: projects, runs and models for people, beside the API for programs."""
