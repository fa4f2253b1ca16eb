"""Engines that answer many conversations at once: one in a process of its own, one that is told."""
