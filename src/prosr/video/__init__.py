"""Clips. All modules but this one need PyAV, from the extra `video`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

OUTPUT_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Suffixes of containers that hold H.264 with any sound."""

_OTHER_SUFFIXES = (
    ".webm", ".avi", ".flv", ".f4v", ".wmv", ".asf", ".mpg", ".mpeg", ".m2v", ".vob", ".m2ts",
    ".ogv", ".ogm", ".3gp", ".3g2", ".mxf", ".dv", ".divx", ".nut",
    ".ts", ".mts",
)  # fmt: skip


def is_clip(path: Path) -> bool:
    """Whether the name has a clip's suffix. The content may still be something else.

    TypeScript's files have the suffixes of MPEG's transport streams, but not their first bytes.
    """
    suffix = path.suffix.lower()
    if suffix in (".ts", ".mts") and path.is_file():
        with suppress(OSError), path.open("rb") as file:
            head = file.read(197)
            return b"GG" in (head[::188], head[4::192])
    return suffix in (*OUTPUT_SUFFIXES, *_OTHER_SUFFIXES)


def clip_suffix(path: Path) -> str:
    """The suffix of a clip's result: its own if it is an `OUTPUT_SUFFIXES`, or ".mkv"."""
    return path.suffix if path.suffix.lower() in OUTPUT_SUFFIXES else ".mkv"
