"""The support desk of Harrow & Pine, a fictional shop, on a server that speaks OpenAI's API."""
