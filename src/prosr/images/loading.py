"""Open untrusted files: from a path to a gray or RGB libvips image, decoded lazily."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.errors import ImageError, printable
from prosr.images.formats import CONTENTS, is_hdr
from prosr.images.heic import HeicError, open_hevc
from prosr.images.samples import SAMPLE_TYPES
from prosr.images.tiff import storage

MAX_PIXELS = 1_000_000_000
"""Larger pictures are refused as decompression bombs."""

_JPEG_PIXELS = 8 * 64
"""Maximum pixels per byte of a JPEG: a block of 8×8 takes at least a bit. A file with fewer bytes
is truncated, and libjpeg would fill the rest with gray."""

DTYPES = dict(zip(("uchar", "ushort", "float"), SAMPLE_TYPES, strict=False))
"""Sample types of pictures, by the names of libvips."""

_RGB = {"srgb", "rgb", "rgb16", "scrgb", "multiband", "b-w", "grey16"}
_EXTRACT = "extract its pictures, then enlarge those"


def open_image(
    path: Path, source: pyvips.Source | None = None, fail_on: str = "error"
) -> tuple[pyvips.Image, str]:
    """Open a picture; return its image and the name of its format, which the content determines.

    The image has 1 to 4 bands (gray, gray and alpha, RGB, RGB and alpha) of 8-bit, 16-bit
    or float samples. It has the stored orientation and can be read once, from top to bottom.
    Raises `ImageError` if the file cannot be opened. Damage further down raises
    `pyvips.Error` when its rows are decoded; `explaining` translates that.
    """
    # Discard errors that libvips collected about other files.
    pyvips.vips_lib.vips_error_clear()
    with explaining(path):
        with open_file(path) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise refusal(path, "is not a regular file; copy it to one first")
            head = file.read(65_536)
            file.seek(0)
            # A descriptor, because libvips parses "[…]" in a name as options.
            source = source or pyvips.Source.new_from_descriptor(file.fileno())
        file_format, loader = _recognise(head, path)
        options: dict[str, Any] = {}
        if file_format == "TIFF":
            stored = storage(path)
            if stored.refused:
                raise refusal(path, f"is {stored.refused}")
            # libvips refuses TIFFs with large strips or tiles; `Picture.decoding` counts them.
            options["unlimited"] = True
            options["page"] = stored.pages[0]
        load = getattr(pyvips.Image, f"{loader}_source")
        if file_format == "HEIC" and b"hvcC" in head:
            image = open_hevc(path, MAX_PIXELS)
        else:
            image = load(source, access="sequential", fail_on=fail_on, **options)
        if file_format == "TIFF" and len(stored.pages) == 1 and image.get_n_pages() > 1:
            image = image.copy()
            image.set_type(pyvips.GValue.gint_type, "n-pages", 1)
        if file_format == "JPEG" and _JPEG_PIXELS * about.st_size < image.width * image.height:
            size = f"{about.st_size} bytes are too few for {image.width}×{image.height} pixels"
            raise refusal(path, f"is truncated ({size}); get a complete copy")
        return _normalised(image, path), file_format


def open_file(path: Path) -> FileIO:
    """Open for reading; a pipe without a writer is empty instead of blocking."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(os.open(path, flags), "rb", buffering=0)


@contextmanager
def explaining(
    path: Path,
    trouble: str = "damaged or not supported",
    remedy: str = "open it in another program and save it as PNG",
) -> Iterator[None]:
    """Turn errors of libvips and the system about `path` into one line of `ImageError`."""
    try:
        yield
    except (pyvips.Error, HeicError) as error:
        raise refusal(path, f"{trouble}{_reason(error)}; {remedy}") from error
    except FileNotFoundError:
        raise refusal(path, "no such file; check its name") from None
    except IsADirectoryError:
        raise refusal(path, "is a folder; name a file") from None
    except (FileExistsError, NotADirectoryError):
        raise refusal(path, "its folder is a file; name another folder") from None
    except OSError as error:
        raise refusal(path, f"{error.strerror or error}; check its disk and permissions") from error


def shown(path: Path) -> str:
    """The path on one line, with unprintable characters escaped."""
    return printable(str(path))


def refusal(path: Path, why: str) -> ImageError:
    """Return an error with a file's name and why it cannot be read, enlarged or written."""
    return ImageError(f"{shown(path)}: {why}")


def cmyk_array_to_rgb(samples: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """Convert [H, W, 4] CMYK (0 is no ink) to [H, W, 3] sRGB by `profile`, an ICC profile."""
    image = pyvips.Image.new_from_array(samples, interpretation="cmyk")
    if profile:
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return np.asarray(_cmyk_to_rgb(image))


def _recognise(head: bytes, path: Path) -> tuple[str, str]:
    """The format's name and libvips loader, or `ImageError` for files that the loaders misread."""
    for name, loader, start in CONTENTS:
        if start.match(head):
            if not loader:
                raise refusal(path, f"is {name}")
            if loader == "heifload" and is_hdr(head):
                raise refusal(path, "is HDR (PQ or HLG); convert it to sRGB first")
            return name, loader
    if not head:
        raise refusal(path, "empty file; get another copy")
    raise refusal(path, "not a picture in a known format; use JPEG, PNG, WebP, TIFF, AVIF or GIF")


def _normalised(image: pyvips.Image, path: Path) -> pyvips.Image:
    """Convert an opened image to gray or RGB with or without alpha, or raise `ImageError`."""
    if image.width * image.height > MAX_PIXELS:
        parts = f"cut it into parts of at most {MAX_PIXELS // 10**6} megapixels"
        raise refusal(path, f"{image.width}×{image.height} pixels; {parts}")
    pages = image.get_n_pages()
    if pages > 1:
        raise refusal(path, f"holds {pages} pictures (an animation or pages); {_EXTRACT}")
    if image.interpretation in ("lab", "labs"):
        # As in ICC profiles, its white is D50.
        image = image.icc_export(output_profile="srgb", intent="relative", depth=16)
    if image.format not in DTYPES:
        raise refusal(path, f"{image.format} samples; convert it to 8 or 16 bits or 32-bit float")
    if image.interpretation == "cmyk":
        image = _cmyk_to_rgb(image)
    elif image.interpretation not in _RGB:
        image = image.colourspace("srgb")
    if image.bands > 4:
        raise refusal(path, f"{image.bands} channels; keep only gray or RGB and at most one alpha")
    return image


def _cmyk_to_rgb(image: pyvips.Image) -> pyvips.Image:
    """CMYK to sRGB by the embedded profile, else by libvips' own press profile."""
    depth = 16 if image.format == "ushort" else 8
    options = {"embedded": True, "input_profile": "cmyk", "intent": "relative"}
    rgb: pyvips.Image = image.icc_transform(
        "srgb", depth=depth, black_point_compensation=True, **options
    )
    return rgb


def _reason(error: Exception) -> str:
    """What an error says after the first line, which names an operation, in brackets."""
    lines = (line.strip() for line in str(error).splitlines()[1:])
    kept = dict.fromkeys(line for line in lines if line and "bad seek" not in line)
    text = "; ".join(kept)
    return f" ({text if len(text) <= 200 else f'{text[:199]}…'})" if text else ""
