"""Scores: metrics, the protocols that make them comparable, results and their tables."""
