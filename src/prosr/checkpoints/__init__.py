"""Networks that their authors released, read without executing anything in the files."""

from __future__ import annotations

from prosr.checkpoints.peers import ALL_SUFFIXES, read_any

__all__ = ["ALL_SUFFIXES", "read_any"]
