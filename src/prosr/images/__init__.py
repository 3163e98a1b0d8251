"""Files ↔ arrays: the only package that knows formats, scales by 255 or 65535, and rounds.

Colours stay in the file's own RGB or gray space, and its ICC profile is copied. Only CMYK
and Lab are converted, to sRGB. Pictures are upright: EXIF orientation is applied.
"""

from prosr.images.formats import (
    UNREAD_SUFFIXES,
    Format,
    find_format,
    is_picture,
    is_writable,
)
from prosr.images.loading import cmyk_array_to_rgb, shown
from prosr.images.metadata import Metadata
from prosr.images.provenance import (
    Making,
    Origin,
    find_making,
    mark,
    origin_of,
    unread_origin_of,
)
from prosr.images.reading import Picture, open_picture, read_rgb
from prosr.images.samples import SAMPLE_TYPES, from_unit, to_unit
from prosr.images.writing import Canvas

__all__ = [
    "SAMPLE_TYPES",
    "UNREAD_SUFFIXES",
    "Canvas",
    "Format",
    "Making",
    "Metadata",
    "Origin",
    "Picture",
    "cmyk_array_to_rgb",
    "find_format",
    "find_making",
    "from_unit",
    "is_picture",
    "is_writable",
    "mark",
    "open_picture",
    "origin_of",
    "read_rgb",
    "shown",
    "to_unit",
    "unread_origin_of",
]
