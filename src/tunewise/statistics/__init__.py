"""Intervals, tests and power: arrays in, numbers out."""
