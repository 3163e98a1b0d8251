"""Weights on disk: our own files, and files of others, read with nothing in them executed."""
