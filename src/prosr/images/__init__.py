"""Files ↔ arrays: the only place that knows formats, scales by 255 or 65535, and rounds.

Colour values stay in a file's own RGB or gray space, whose ICC profile is carried along;
only CMYK and Lab, which no network here understands, are brought to sRGB. A picture is
upright: its EXIF orientation has been applied to the pixels.
"""

from prosr.images.formats import (
    UNREAD_SUFFIXES,
    Format,
    find_format,
    is_picture,
    is_writable,
)
from prosr.images.loading import shown
from prosr.images.metadata import Metadata
from prosr.images.provenance import (
    Making,
    Origin,
    find_making,
    mark,
    origin_of,
    unread_origin_of,
)
from prosr.images.reading import Decoded, Picture, open_picture, read_rgb
from prosr.images.samples import SAMPLE_TYPES, from_unit, to_unit
from prosr.images.writing import Canvas

__all__ = [
    "SAMPLE_TYPES",
    "UNREAD_SUFFIXES",
    "Canvas",
    "Decoded",
    "Format",
    "Making",
    "Metadata",
    "Origin",
    "Picture",
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
