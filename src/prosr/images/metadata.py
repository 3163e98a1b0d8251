"""Metadata that an enlargement inherits: EXIF, XMP, ICC profile, resolution, colours of a PNG."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvips

from prosr.files import replacing
from prosr.images.provenance import MAKING
from prosr.images.tiff import read_exif

_CARRIED = re.compile(
    r"(exif-(?!ifd0-Orientation|ifd1-).*|xmp-data|iptc-data|icc-profile-data|image-description|png-comment-.*"
    r"|resolution-unit)"
)
_SOFTWARE = "exif-ifd0-Software"
_COLOUR_SPACE = "exif-ifd2-ColorSpace"
_ICC = "icc-profile-data"
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>\s*))[2-8]")

_PNG_COLOURS = (b"sRGB", b"cHRM", b"gAMA", b"cICP", b"mDCV", b"cLLI")
"""The PNG chunks, other than the ICC profile, that describe colours. libvips ignores them."""

_PNG_SIGNATURE, _PNG_HEADER = 8, 33
"""Bytes before the first chunk, and before the second."""

_LONGEST_CHUNK = 1000


@dataclass(frozen=True)
class Metadata:
    """Metadata that an enlargement inherits.

    `fields` maps names to libvips' type number and value. Resolutions are in pixels per millimetre.
    `png_colours` holds chunks of a PNG file as `read_png_colours` returns them; only another PNG
    file inherits these.
    """

    fields: dict[str, tuple[int, Any]] = field(default_factory=dict)
    x_resolution: float = 1.0
    y_resolution: float = 1.0
    png_colours: bytes = b""


def collect(image: pyvips.Image, path: Path, file_format: str, *, turned: bool) -> Metadata:
    """Take the inherited items from an opened picture; skip EXIF that cannot be parsed.

    `turned` states whether the EXIF orientation has been applied to the pixels.
    """
    fields = _fields(image)
    if turned and "xmp-data" in fields:
        kind, xmp = fields["xmp-data"]
        fields["xmp-data"] = kind, _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    if file_format == "TIFF":
        fields |= _exif_fields(read_exif(path))
    colours = read_png_colours(path) if file_format == "PNG" else b""
    return Metadata(fields, image.xres, image.yres, colours)


def _fields(image: pyvips.Image) -> dict[str, tuple[int, Any]]:
    names = [name for name in image.get_fields() if _CARRIED.fullmatch(name)]
    fields = {name: (image.get_typeof(name), image.get(name)) for name in names}
    return {name: item for name, item in fields.items() if item[1]}


def attach(image: pyvips.Image, metadata: Metadata, made_by: str) -> pyvips.Image:
    """Copy `image` with the metadata, orientation 1, and `made_by` in EXIF's Software if given.

    Savers write EXIF's width and height themselves.
    """
    image = image.copy(xres=metadata.x_resolution, yres=metadata.y_resolution)
    for name, (kind, value) in metadata.fields.items():
        image.set_type(kind, name, value)
    image.set_type(pyvips.GValue.gint_type, "orientation", 1)
    # Otherwise savers copy the thumbnail, which is not upright.
    image.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", b"")
    if made_by:
        before = MAKING.sub("", software(metadata)).strip("; ")
        line = f"{before}; {made_by}" if before else made_by
        image.set_type(pyvips.GValue.gstr_type, _SOFTWARE, line)
    # Without the value 1 (sRGB), libexif adds "uncalibrated", which is wrong without a profile.
    other = metadata.png_colours and b"sRGB" not in metadata.png_colours
    if not metadata.fields.keys() & {_COLOUR_SPACE, _ICC} and not other:
        image.set_type(pyvips.GValue.gstr_type, _COLOUR_SPACE, "1")
    return image


def _exif_fields(block: bytes) -> dict[str, tuple[int, Any]]:
    """Parse an EXIF block with libvips; return nothing if libvips cannot parse it."""
    plain = pyvips.Image.black(1, 1).jpegsave_buffer(keep="none")
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    try:
        image = pyvips.Image.jpegload_buffer(plain[:2] + segment + plain[2:])
    except pyvips.Error:
        return {}
    return {name: item for name, item in _fields(image).items() if name.startswith("exif-")}


def exif_block(metadata: Metadata, made_by: str) -> bytes:
    """The EXIF block that libvips writes for a picture with this metadata."""
    image = attach(pyvips.Image.black(1, 1), metadata, made_by)
    jpeg = pyvips.Image.jpegload_buffer(image.jpegsave_buffer(keep="exif"))
    return bytes(jpeg.get("exif-data"))


def software(metadata: Metadata) -> str:
    """EXIF's Software. libvips stores it as "Maker (Maker, ASCII, 6 components, 6 bytes)"."""
    value = str(metadata.fields.get(_SOFTWARE, (0, ""))[1])
    remark = re.search(r", ASCII, \d+ components, \d+ bytes\)$", value)
    return value[: (remark.start() - 2) // 2] if remark else value


def read_png_colours(path: Path) -> bytes:
    """The colour chunks of a PNG file, unchanged; of a damaged file, those before the damage.

    A chunk is its length, name, data and checksum. Colour chunks precede the pixels.
    """
    found = b""
    with path.open("rb") as file:
        file.seek(_PNG_SIGNATURE)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big") + 4
            if head[4:] not in _PNG_COLOURS or length > _LONGEST_CHUNK:
                file.seek(length, io.SEEK_CUR)
            elif len(rest := file.read(length)) == length:
                found += head + rest
    return found


def add_png_colours(path: Path, chunks: bytes) -> None:
    """Rewrite a PNG file with `chunks` after its header."""
    with replacing(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
        new.write(old.read(_PNG_HEADER) + chunks)
        shutil.copyfileobj(old, new, 1_000_000)
