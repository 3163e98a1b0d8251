"""EXIF, XMP, ICC and the rest: what goes from a picture to its enlargement."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyvips

from prosr.images.exif import without_thumbnail
from prosr.images.provenance import Making, find_making, without_makings

_CARRIED = re.compile(
    r"(exif-(?!ifd0-Orientation|ifd1-).*|xmp-data|iptc-data|icc-profile-data|image-description|png-comment-.*"
    r"|resolution-unit)"
)
_SOFTWARE = "exif-ifd0-Software"
_COLOUR_SPACE = "exif-ifd2-ColorSpace"
_ICC = "icc-profile-data"
_SRGB = "1"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>\s*))[2-8]")


@dataclass(frozen=True)
class Field:
    """One item as libvips holds it: the type's number, the name and the value."""

    gtype: int
    name: str
    value: Any


@dataclass(frozen=True)
class Metadata:
    """What an enlargement inherits; resolutions are in pixels per millimetre.

    `png_colours` is what `prosr.images.png` reads, for another PNG file.
    """

    fields: tuple[Field, ...] = ()
    x_resolution: float = 1.0
    y_resolution: float = 1.0
    png_colours: bytes = b""


def making_of(metadata: Metadata) -> Making:
    """What a picture says of its making."""
    return find_making(_software(metadata))


def collect(image: pyvips.Image, *, turned: bool = False) -> Metadata:
    """Take what is to be carried from an opened picture; EXIF that makes no sense is not.

    `turned` says that the pixels are turned as its EXIF asks for.
    """
    fields = [
        Field(image.get_typeof(name), name, _as_upright(name, image.get(name), turned))
        for name in image.get_fields()
        if _CARRIED.fullmatch(name)
    ]
    return Metadata(tuple(field for field in fields if field.value), image.xres, image.yres)


def _as_upright(name: str, value: Any, turned: bool) -> Any:
    """What still speaks of the picture as it was stored, made to fit the upright one."""
    if name == "xmp-data" and turned:
        return _XMP_ORIENTATION.sub(rb"\g<1>1", value)
    return without_thumbnail(value) if name == "exif-data" else value


def attach(image: pyvips.Image, metadata: Metadata, made_by: str) -> pyvips.Image:
    """Give `image` the metadata, upright, marked with `made_by` if that is not empty.

    Savers write EXIF's width and height themselves.
    """
    image = image.copy(xres=metadata.x_resolution, yres=metadata.y_resolution)
    for item in metadata.fields:
        image.set_type(item.gtype, item.name, item.value)
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    if made_by:
        software = without_makings(_software(metadata))
        line = f"{software}; {made_by}" if software else made_by
        image.set_type(pyvips.GValue.gstr_type, _SOFTWARE, line)
    # libexif completes EXIF with "uncalibrated", which is wrong where no profile says so.
    names = {item.name for item in metadata.fields}
    other = metadata.png_colours and b"sRGB" not in metadata.png_colours
    if not names & {_COLOUR_SPACE, _ICC} and not other:
        image.set_type(pyvips.GValue.gstr_type, _COLOUR_SPACE, _SRGB)
    return image


def exif_fields(block: bytes) -> tuple[Field, ...]:
    """What libvips makes of an EXIF block; nothing if it cannot."""
    plain = pyvips.Image.black(1, 1).jpegsave_buffer(keep="none")
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    try:
        image = pyvips.Image.jpegload_buffer(plain[:2] + segment + plain[2:])
    except pyvips.Error:
        return ()
    return tuple(f for f in collect(image).fields if f.name.startswith("exif-"))


def exif_block(metadata: Metadata, made_by: str) -> bytes:
    """The EXIF block that libvips writes for a picture with this metadata."""
    image = attach(pyvips.Image.black(1, 1), metadata, made_by)
    jpeg = pyvips.Image.jpegload_buffer(image.jpegsave_buffer(keep="exif"))
    return bytes(jpeg.get("exif-data"))


def _software(metadata: Metadata) -> str:
    """EXIF's Software; libvips gives "Maker (Maker, ASCII, 6 components, 6 bytes)"."""
    value = next((str(item.value) for item in metadata.fields if item.name == _SOFTWARE), "")
    remark = re.search(r", ASCII, \d+ components, \d+ bytes\)$", value)
    return value[: (remark.start() - 2) // 2] if remark else value
