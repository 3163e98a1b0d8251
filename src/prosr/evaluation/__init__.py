"""Scores: metrics, protocols, results files and timing."""
