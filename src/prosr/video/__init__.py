"""Clips. All modules but this one need PyAV, from the extra `video`."""

from __future__ import annotations

from pathlib import Path

OUTPUT_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Suffixes of containers that hold H.264 with any sound."""


def is_clip(path: Path) -> bool:
    """Whether the name has a clip's suffix. The content may still be something else."""
    return path.suffix.lower() in (*OUTPUT_SUFFIXES, ".webm", ".avi")


def clip_suffix(path: Path) -> str:
    """The suffix of a clip's result: its own, or ".mkv" for WebM and AVI."""
    return path.suffix if path.suffix.lower() in OUTPUT_SUFFIXES else ".mkv"
