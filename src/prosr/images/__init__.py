"""Files ↔ arrays: the only package that knows formats, scales by 255 or 65535, and rounds.

Colours stay in the file's own RGB or gray space, and its ICC profile is copied. Only CMYK
and Lab are converted, to sRGB. Pictures are upright: EXIF orientation is applied.
"""

from prosr.images.formats import find_format, is_picture
from prosr.images.metadata import Metadata
from prosr.images.reading import read_rgb
from prosr.images.samples import from_unit, to_unit
from prosr.images.writing import Canvas

__all__ = ["Canvas", "Metadata", "find_format", "from_unit", "is_picture", "read_rgb", "to_unit"]
