"""Networks released as pickled `.pth` files, read without executing anything in them."""

from __future__ import annotations

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
    "RELEASED",
    "SUFFIXES",
    "Released",
    "config_from_released",
    "load",
    "read",
    "recognise",
    "released_layout",
    "released_name",
]
