"""Weights on disk: our own files and other projects' files, read without executing anything."""
