"""Adapts metadata to the size and the format of an enlargement."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from prosr.images import fields
from prosr.images.exif import EXIF_IFD, MAKER_NOTE, PREFIX, Exif, exif_block, read_exif
from prosr.images.metadata import CM, INCH, NONE, Metadata
from prosr.images.provenance import MAKING
from prosr.images.tiff import RATIONAL, SHORT, Directory, TagValue

_DEPTHS = {"JPEG": 8, "WebP": 8, "AVIF": 12, "PNG": 16, "TIFF": 32}
"""Bits per sample of each format, at most."""

_SEGMENT, _MOST_TEXTS = 65_500, 1000
"""Bytes that a segment of a JPEG can hold, less its head. Texts of a file that are kept."""

_GENERATED = re.compile(r"\bSteps: \d+")
_PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
    b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def enlarged(
    metadata: Metadata, size: tuple[int, int], file_format: str, made_by: str = ""
) -> Metadata:
    """The metadata of a result of that width and height; `lost` includes what it cannot hold.

    `made_by` is the provenance for EXIF's Software.
    """
    frame = fields.Frame(metadata.orientation, metadata.stored, size)
    xmp, lost = fields.enlarged_xmp(metadata.xmp, frame)
    exif, untrue = fields.enlarged_exif(metadata.exif, frame)
    new = replace(metadata, exif=exif, xmp=xmp).losing(*lost, *untrue)
    if new.exif.moves_note(file_format == "TIFF"):
        new = replace(new, exif=new.exif.without(EXIF_IFD, MAKER_NOTE)).losing("the maker note")
    if made_by:
        before = MAKING.sub("", metadata.software).strip("; ")
        made_by = f"{before}; {made_by}" if before else made_by
        new = new.having({fields.SOFTWARE: TagValue.of_text(made_by)})
    return _fitted(_stating_resolution(new, frame, file_format), file_format)


def enlarged_blobs(
    info: Mapping[str, Any], stored: tuple[int, int], size: tuple[int, int]
) -> tuple[dict[str, bytes], frozenset[str]]:
    """EXIF and XMP for a PIL image, which keeps its orientation, and what is lost."""
    block, xmp = (b if isinstance(b, bytes) else b"" for b in map(info.get, ("exif", "xmp")))
    exif = read_exif(BytesIO(block.removeprefix(PREFIX))) if block else Exif()
    new = enlarged(Metadata(exif, xmp, stored=stored), size, "PNG")
    if turn := exif.directory(0).get(fields.ORIENTATION):
        new = new.having({fields.ORIENTATION: turn})
    blobs = {"exif": PREFIX + exif_block(new.exif) if new.exif else b"", "xmp": new.xmp}
    return {name: blob for name, blob in blobs.items() if blob}, new.lost


def _stating_resolution(metadata: Metadata, frame: fields.Frame, file_format: str) -> Metadata:
    """With the resolution of an enlargement, also in EXIF if that states one.

    PNG and JPEG have a place of their own for it, which rounds; others have only EXIF.
    """
    stated = fields.X_RESOLUTION in metadata.exif.directory(0)
    if metadata.dpi:
        unit, x, y = INCH, Fraction(metadata.dpi), Fraction(metadata.dpi)
    elif metadata.resolution:
        unit, *density = metadata.resolution
        scale = 1 if unit == NONE and file_format != "TIFF" else frame.scale
        x, y = frame.turned(*(scale * number for number in density))
    else:
        return metadata
    new = replace(metadata, resolution=(unit, x, y))
    if (stated and not metadata.dpi) or (file_format in ("PNG", "JPEG") and not stated):
        return new
    numbers = zip((fields.X_RESOLUTION, fields.Y_RESOLUTION), (x, y), strict=True)
    tags = {tag: TagValue.of(RATIONAL, number) for tag, number in numbers}
    return new.having(tags | {fields.RESOLUTION_UNIT: TagValue.of(SHORT, unit)})


def settled(found: Metadata) -> Metadata:
    """After reading: resolution and the settings of an image generator are also taken from EXIF."""
    if not found.resolution:
        found = replace(found, resolution=_resolution_of(found.exif.directory(0)))
    texts = list(found.texts[:_MOST_TEXTS])
    found = found.losing(*["some of its texts"] * (len(texts) < len(found.texts)))
    if _GENERATED.search(found.comment) and found.comment not in (text for _, text in texts):
        texts.append(("parameters", found.comment))
    return replace(found, texts=tuple(texts))


def _resolution_of(main: Directory) -> tuple[int, Fraction, Fraction] | None:
    """The resolution in EXIF's main directory; None if it makes no sense."""
    try:
        x, y = (Fraction(main[t].numbers()[0]) for t in (fields.X_RESOLUTION, fields.Y_RESOLUTION))
        unit = main[fields.RESOLUTION_UNIT].numbers()[0] if fields.RESOLUTION_UNIT in main else INCH
    except (KeyError, ArithmeticError, ValueError):
        return None
    return (unit, x, y) if unit in (NONE, INCH, CM) and x > 0 and y > 0 else None


def _fitted(new: Metadata, file_format: str) -> Metadata:
    """As the format can hold it: texts of a PNG go into EXIF's UserComment and into XMP."""
    if new.bits > _DEPTHS[file_format]:
        new = new.losing(f"more than {_DEPTHS[file_format]} of its {new.bits} bits")
    if file_format == "PNG":
        return new.losing("IPTC" if new.iptc else "")
    if file_format == "TIFF" and new.exif.order == b"MM":  # libvips writes the other order
        comment = new.comment
        new = replace(new, exif=replace(new.exif, order=b"II"))
        new = new.commenting(comment) if comment != new.comment else new
    _, _, when = b"".join(new.chunks).partition(b"tIME")
    if len(when) >= 7 and fields.DATE not in new.exif.directory(0):
        day = "{:04}:{:02}:{:02} {:02}:{:02}:{:02}".format(*struct.unpack_from(">H5B", when))
        new = new.having({fields.DATE: TagValue.of_text(day)})
    # In sRGB, gamma is 45,455 and the y of green is 60,000.
    has = {chunk[4:8]: chunk[8:-4] for chunk in new.chunks}
    numbers = {int.from_bytes(has.get(b"gAMA", b"")), int.from_bytes(has.get(b"cHRM", b"")[20:24])}
    if b"cICP" in has or (numbers - {0, 45_455, 60_000} and not new.icc and b"sRGB" not in has):
        new = new.losing("the colour space of a PNG (cICP, gAMA, cHRM)")
    kept, others = [], list[tuple[str, str]]()
    for keyword, text in new.texts:
        if _GENERATED.search(text) and new.comment in ("", text):
            new = new.commenting(text)
        elif keyword == "Comment" and file_format == "JPEG" and len(text.encode()) < _SEGMENT:
            kept.append((keyword, text))
        else:
            others.append((keyword, text))
    if others and b"</rdf:RDF>" not in (new.xmp or _PACKET):
        new = replace(new, xmp=b"").losing("XMP, which is unusual")
    new = replace(new, texts=tuple(kept))
    if file_format != "JPEG":
        lost = "IPTC" if new.iptc and file_format != "TIFF" else ""
        return replace(new, xmp=_with_texts(new.xmp, others)).losing(lost)
    if len(new.xmp) > _SEGMENT:
        new = replace(new, xmp=b"").losing("XMP, which is too long for JPEG")
    if len(_with_texts(new.xmp, others)) > _SEGMENT:
        others, new = [], new.losing("the texts, which are too long for JPEG")
    while len(exif_block(new.exif)) > _SEGMENT:
        shorter = new.exif.without(*new.exif.longest())
        new = replace(new, exif=shorter).losing("EXIF that is too long for JPEG")
    return replace(new, xmp=_with_texts(new.xmp, others))


def _with_texts(xmp: bytes, texts: list[tuple[str, str]]) -> bytes:
    """The packet with texts of a PNG as JSON in a property."""
    head, end, tail = (xmp or _PACKET).rpartition(b"</rdf:RDF>")
    data = escape(json.dumps(texts, ensure_ascii=False, allow_nan=False)).encode(errors="replace")
    before = b'<rdf:Description rdf:about="" xmlns:png="urn:prosr:png"><png:texts>'
    after = b"</png:texts></rdf:Description>"
    return head + before + data + after + end + tail if texts and end else xmp
