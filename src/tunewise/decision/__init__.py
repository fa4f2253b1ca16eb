"""From measurements to a plan and a verdict: pure."""
