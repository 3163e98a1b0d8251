"""From a path to a gray or RGB libvips image, decoded lazily from untrusted bytes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvips

from prosr.errors import ImageError, printable
from prosr.images.formats import is_animated, is_hdr, sniff
from prosr.images.orientation import TURNS, Turn
from prosr.images.tiff import is_bare_ycbcr

MAX_PIXELS = 1_000_000_000
"""More is taken for a decompression bomb, or for something to be cut up first."""

_JPEG_PIXELS = 8 * 64
"""The most that a byte can stand for: a block of 8×8 takes a bit at least. What is missing would
be decoded as gray."""

_RGB = {"srgb", "rgb", "rgb16", "scrgb", "multiband", "b-w", "grey16"}
_SAMPLES = ("uchar", "ushort", "float")
_EXTRACT = "extract its pictures, then enlarge those"
_UNREADABLE = "damaged or not supported; try to open it elsewhere and save it as PNG"
_READABLE = "JPEG, PNG, WebP, TIFF, AVIF or GIF"


def open_image(path: Path) -> tuple[pyvips.Image, str]:
    """The picture at `path` and the name of the format that its content has.

    1 to 4 bands: gray, gray and alpha, RGB, RGB and alpha; 8 or 16 bit integers or float.
    The image is as it is stored, not turned, and to be read from top to bottom. Raises
    `ImageError` for what cannot be read at all; damage further down appears as
    `pyvips.Error` when rows are decoded, which `explaining` translates.
    """
    with explaining(path):
        descriptor = open_descriptor(path)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) and not path.is_dir():
                raise ImageError(f"{shown(path)}: is no regular file; save it to one first")
            head = os.read(descriptor, 65_536)
            os.lseek(descriptor, 0, os.SEEK_SET)
            kind = sniff(head)
            if is_animated(head):
                raise ImageError(f"{shown(path)}: is an animation; {_EXTRACT}")
            if kind and kind[0] in ("AVIF", "HEIC") and is_hdr(head):
                raise ImageError(f"{shown(path)}: is coded for HDR (PQ or HLG); make it sRGB first")
            if kind is None:
                what = f"not a picture in a known format; use {_READABLE}" if head else "empty file"
                raise ImageError(f"{shown(path)}: {what}")
            # By descriptor, not by name: libvips takes a name's "[…]" for options.
            source = pyvips.Source.new_from_descriptor(descriptor)
        finally:
            os.close(descriptor)
        load = getattr(pyvips.Image, f"{kind[1]}_source")
        # Of a TIFF libvips would refuse what is stored in large pieces, whose memory we count.
        unlimited = {"unlimited": True} if kind[0] == "TIFF" else {}
        image = load(source, access="sequential", fail_on="error", **unlimited)
        _check_header(image, path)
        if kind[0] == "TIFF" and is_bare_ycbcr(path):
            raise ImageError(f"{shown(path)}: YCbCr without JPEG compression; convert it to RGB")
        if kind[0] == "JPEG" and _JPEG_PIXELS * about.st_size < image.width * image.height:
            raise ImageError(
                f"{shown(path)}: is cut off ({about.st_size} bytes are too few for "
                f"{image.width}×{image.height} pixels); get a whole copy"
            )
        return _normalised(image, path), kind[0]


def open_descriptor(path: Path) -> int:
    """Open for reading; of a pipe without a writer, which would be waited for, as if empty."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def explaining(path: Path, trouble: str = _UNREADABLE) -> Iterator[None]:
    """Turn what libvips and the system say of `path` into one line of `ImageError`."""
    pyvips.vips_lib.vips_error_clear()
    try:
        yield
    except pyvips.Error as error:
        raise ImageError(f"{shown(path)}: {trouble}{_reason(error)}") from error
    except FileNotFoundError:
        raise ImageError(f"{shown(path)}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{shown(path)}: is a folder, not a picture") from None
    except (FileExistsError, NotADirectoryError):
        raise ImageError(f"{shown(path)}: a file stands where its folder should be") from None
    except OSError as error:
        raise ImageError(f"{shown(path)}: {error.strerror or error}") from error


def shown(path: Path) -> str:
    """The path as it fits in one line of text."""
    return printable(str(path))


def _check_header(image: pyvips.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{shown(path)}: {image.width}×{image.height} pixels; "
            f"cut it into parts of at most {MAX_PIXELS // 10**6} megapixels"
        )
    pages = image.get_n_pages()
    if pages > 1:
        raise ImageError(
            f"{shown(path)}: holds {pages} pictures (an animation or pages); {_EXTRACT}"
        )
    if image.format not in _SAMPLES:
        raise ImageError(
            f"{shown(path)}: {image.format} samples; convert it to 8 or 16 bits or 32-bit float"
        )


def turn_of(image: pyvips.Image) -> Turn:
    """What the EXIF orientation of an opened picture asks for; nothing if it is unknown."""
    orientation = image.get("orientation") if image.get_typeof("orientation") else 1
    return TURNS.get(orientation, TURNS[1])


def _normalised(image: pyvips.Image, path: Path) -> pyvips.Image:
    if image.interpretation == "cmyk":
        image = cmyk_to_rgb(image)
    elif image.interpretation not in _RGB:
        image = image.colourspace("srgb")
    if image.bands > 4:
        raise ImageError(
            f"{shown(path)}: {image.bands} channels; keep only gray or RGB and at most one alpha"
        )
    return image


def cmyk_to_rgb(image: pyvips.Image) -> pyvips.Image:
    """CMYK in its embedded profile, or else a common press profile, to sRGB."""
    options: dict[str, Any] = {"embedded": True, "input_profile": "cmyk", "intent": "relative"}
    depth = 16 if image.format == "ushort" else 8
    rgb: pyvips.Image = image.icc_transform(
        "srgb", depth=depth, black_point_compensation=True, **options
    )
    return rgb


def _reason(error: pyvips.Error) -> str:
    lines = (line.strip() for line in str(error).splitlines()[1:])
    kept = dict.fromkeys(line for line in lines if line and "bad seek" not in line)
    text = "; ".join(kept)
    return f" ({text if len(text) <= 200 else f'{text[:199]}…'})" if text else ""
