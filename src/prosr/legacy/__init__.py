"""Networks that their authors released, read without executing anything in the files."""

from __future__ import annotations

from prosr.legacy.peers import ALL_SUFFIXES, read_any
from prosr.legacy.released import (
    RELEASED,
    SUFFIXES,
    Released,
    config_from_released,
    load,
    read,
    recognise,
    released_layout,
    released_name,
)

__all__ = [
    "ALL_SUFFIXES",
    "RELEASED",
    "SUFFIXES",
    "Released",
    "config_from_released",
    "load",
    "read",
    "read_any",
    "recognise",
    "released_layout",
    "released_name",
]
