"""Scores: metrics, protocols, results files, tables and timing."""
