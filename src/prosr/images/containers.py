"""The metadata of files: read from one format, and written into results of another.

libvips copies ICC profiles and XMP. All else is read and written here: libexif drops fields that it
does not know and adds others, and libvips states a resolution where there is none.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import pyvips

from prosr.errors import printable
from prosr.files import replacing
from prosr.images import fields
from prosr.images.adapting import settled
from prosr.images.exif import EXIF_IFD, PREFIX, Exif, add_exif, exif_block, read_exif
from prosr.images.heic import LOST
from prosr.images.metadata import CM, COLOURS, INCH, NONE, Metadata
from prosr.images.tiff import UNDEFINED, TagValue

_PHOTOSHOP, _IPTC = b"Photoshop 3.0\0", b"8BIM\x04\x04"
_PATHS = re.compile(rb"8BIM(\x07[\xd0-\xff]|[\x08-\x0a].|\x0b[\0-\xb7])", re.S)
_VIDEO = re.compile(rb".{0,40}(ftyp|MotionPhoto_Data)", re.S)
"""Photoshop's resources for paths, 2000 to 2999, and what begins the video of a motion photo."""

_XMP, _XMP_TEXT, _IPTC_TAG = b"http://ns.adobe.com/xap/1.0/\0", "XML:com.adobe.xmp", 33723
_LONGEST, _PIECE = 4_000_000, 1_000_000
"""Bytes that all texts of a PNG may take, and those that are copied at a time."""

_SEGMENTS = {
    b"\xe1http://ns.adobe.com/xmp/extension/\0": fields.EXTENDED,
    b"\xe2MPF\0": fields.PICTURES,
    b"\xe2urn:iso:std:iso:ts:21496": fields.GAIN_MAP,
    b"\xebJP": fields.CREDENTIALS,
    **dict.fromkeys((b"\xe0", b"\xe1" + PREFIX[:5], b"\xe1" + _XMP, b"\xe2ICC_PROFILE\0"), ""),
    **dict.fromkeys((b"\xecDucky", b"\xeeAdobe"), ""),
}
"""Beginnings of JPEG's application segments, and what is lost with them, or nothing."""

_CHUNKS = {*b"IHDR PLTE IDAT IEND tRNS sBIT hIST bKGD iDOT iCCP eXIf oFFs caNv vpAg".split()}
_COPIED = {*COLOURS, b"tIME"}
"""PNG's chunks that belong to the file, and those that another PNG inherits. It also inherits
others whose names say that they do not depend on the pixels, but none of a nine-patch."""

_BLOBS = {"icc": "icc-profile-data", "xmp": "xmp-data", "exif": "exif-data"}
_FILLER = b"placeholder of prosr "


def collect(image: pyvips.Image, path: Path, file_format: str, orientation: int) -> Metadata:
    """Read what is inherited from an opened picture, whose `orientation` will be applied."""
    icc, xmp, exif = (
        bytes(image.get(name)) if image.get_typeof(name) else b"" for name in _BLOBS.values()
    )
    stored = image.width, image.height
    found = Metadata(xmp=xmp.rstrip(b"\0"), icc=icc, stored=stored, orientation=orientation)
    stated = image.get_typeof("bits-per-sample")
    found = replace(found, bits=image.get("bits-per-sample") if stated else 8)
    with path.open("rb") as file, _mapped(path) as data:
        if reader := {"JPEG": _read_jpeg, "PNG": _read_png, "GIF": _read_gif}.get(file_format):
            found = reader(found, data)
        elif file_format in ("AVIF", "HEIC"):
            head, video = data[:65_536], data.find(b"mpvd")
            found = found.losing(*(what for mark, what in LOST.items() if mark in head))
            # The size of the video's box precedes its name.
            if 0 < int.from_bytes(data[max(video - 4, 0) : max(video, 0)]) <= len(data) + 4 - video:
                found = found.losing(fields.VIDEO)
            # The container turns the pixels, whatever XMP says.
            xmp = re.sub(rb"(tiff:Orientation(?:=.|>))[2-8]", rb"\g<1>1", found.xmp)
            found = replace(found, xmp=xmp)
        if file_format in ("GIF", "WebP") and re.search(rb"C2PA(_GIF|.{8}jumb)", data, re.S):
            found = found.losing(fields.CREDENTIALS)
        if exif or file_format == "TIFF":
            tags = read_exif(BytesIO(exif.removeprefix(PREFIX)) if exif else file)
            found = replace(found, exif=tags).losing(
                "some EXIF, which is damaged" if tags.damaged else ""
            )
    if file_format == "TIFF" and (iptc := found.exif.directory(0).get(_IPTC_TAG)):
        found = replace(found, iptc=iptc.data)
    return settled(found)


def _parts(data: Any, file_format: str) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Name, content, beginning and end of each chunk of a PNG, or segment of a JPEG's head."""
    place = 8 if file_format == "PNG" else 2
    while place + 8 <= len(data):
        head = data[place : place + 8]
        if file_format == "PNG":
            name, start = head[4:], place + 8
            end = start + int.from_bytes(head[:4], "big")
            last = end + 4
        elif head[:2] == b"\xff\xff":  # padding
            place += 1
            continue
        else:
            name, start = head[1:2], place + 4
            last = end = place + 2 + int.from_bytes(head[2:4], "big")
            if head[0] != 0xFF or name == b"\xda":
                return
        end = min(end, start + _LONGEST) if name != b"IDAT" else start
        yield name, data[start:end], place, last
        place = last


def _read_jpeg(found: Metadata, data: mmap.mmap) -> Metadata:
    found = replace(found, xmp=b"")  # libvips takes extended XMP for it
    samples, lost, texts = 2, set(), []
    for name, content, _, samples in _parts(data, "JPEG"):  # noqa: B007
        if name == b"\xfe":
            texts.append(("Comment", _decoded(content.rstrip(b"\0"))))
        elif name == b"\xe0" and content.startswith(b"JFIF\0") and len(content) >= 12:
            unit, x, y = struct.unpack_from(">BHH", content, 7)
            if x and y and unit < 3 and (unit or x != y):
                found = replace(found, resolution=(unit + 1, Fraction(x), Fraction(y)))
        elif name == b"\xed" and content.startswith(_PHOTOSHOP):
            # A resource is its kind, a name of even length, the length of its data, and the data.
            if (start := content.find(_IPTC) + 6) > 5:
                start += (int.from_bytes(content[start : start + 1]) + 2) // 2 * 2
                length = int.from_bytes(content[start : start + 4], "big")
                found = replace(found, iptc=content[start + 4 :][:length])
            lost |= {"Photoshop's paths"} if _PATHS.search(content) else set()
        elif name == b"\xe1" and content.startswith(_XMP):
            found = replace(found, xmp=content[len(_XMP) :])
        elif b"\xe0" <= name <= b"\xef":
            head = name + content[:40]
            known = [what for key, what in _SEGMENTS.items() if head.startswith(key)]
            sign = printable(content[:20].split(b"\0")[0].decode("ascii", "ignore"))
            lost.add(known[0] if known else f"the segment APP{name[0] - 0xE0} {sign}".rstrip())
    end = data.find(b"\xff\xd9", samples)
    after = data[end + 2 : end + _PIECE].strip(b"\0\xff") if end > 0 else b""
    video = _VIDEO.match(after)
    if video or (after and not lost - {""}):
        lost.add(fields.VIDEO if video else "data after the picture")
    return replace(found, texts=tuple(texts)).losing(*lost)


def _decoded(text: bytes) -> str:
    """A comment: no format states its encoding."""
    try:
        return text.decode()
    except UnicodeError:
        return text.decode("latin-1")


def _read_gif(found: Metadata, data: Any) -> Metadata:
    """The comments before the first picture."""
    from PIL.GifImagePlugin import GifImageFile

    try:
        comment = GifImageFile(data).info.get("comment", b"")
    # Its errors are of many types.
    except Exception:
        return found.losing("comments, which are damaged")
    parts = {b"XMP DataXMP": "XMP of a GIF", b"ICCRGBG1012": "the ICC profile of a GIF"}
    lost = (what for mark, what in parts.items() if data.find(mark) > 0)
    return replace(found, texts=(("Comment", _decoded(comment)),) if comment else ()).losing(*lost)


def _read_png(found: Metadata, data: mmap.mmap) -> Metadata:
    chunks, texts, lost, left, room = [], [], set(), _LONGEST, _LONGEST
    for name, content, place, last in _parts(data, "PNG"):
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            key, text = _text(name, content, left)
            left -= len(text) if key else _PIECE
            if name == b"iTXt" and content.partition(b"\0")[2][2:4] not in (bytes(2), b""):
                lost.add("languages of texts")
            if not key:
                lost.add("a text that is damaged or too long")
            elif key.startswith("Raw profile"):
                found = _with_profile(found, text)
            else:
                texts.append((key, text))
        elif name == b"pHYs" and len(content) == 9:
            x, y, metre = struct.unpack(">IIB", content)
            if x and y and (metre == 1 or x != y):
                unit, share = (CM, 100) if metre == 1 else (NONE, 1)
                found = replace(found, resolution=(unit, Fraction(x, share), Fraction(y, share)))
        elif name in _COPIED or (name not in _CHUNKS and name[3:].islower() and name[:2] != b"np"):
            room -= len(content)
            chunks += [data[place:last]] if room > 0 else []
        elif name not in _CHUNKS:
            what = f"the chunk {printable(name.decode('latin-1'))}"
            lost.add(fields.CREDENTIALS if name == b"caBX" else what)
    packet = dict(texts).pop(_XMP_TEXT, "").encode()
    kept = tuple((key, text) for key, text in texts if key != _XMP_TEXT)
    found = replace(found, xmp=packet or found.xmp, texts=kept, chunks=tuple(chunks))
    return found.losing(*lost)


def _with_profile(found: Metadata, text: str) -> Metadata:
    """Take EXIF or XMP from a raw profile: its kind and length, then hexadecimal digits."""
    digits = "".join(text.split()[2:])
    data = bytes.fromhex(digits) if re.fullmatch("([0-9a-fA-F]{2})*", digits) else b""
    if data.startswith(PREFIX):
        return replace(found, exif=read_exif(BytesIO(data[len(PREFIX) :])))
    if b"<x:xmpmeta" in data:
        return replace(found, xmp=data.removeprefix(_XMP))
    return found.losing("a raw profile in a text")


def _text(name: bytes, content: bytes, most: int) -> tuple[str, str]:
    """Keyword and text of a PNG's chunk; both empty if it is damaged or longer than `most`."""
    key, _, text = content.partition(b"\0")
    packed = name == b"zTXt" or (name == b"iTXt" and text[:1] == b"\1")
    if name == b"iTXt":
        text = b"\0" + text[2:].split(b"\0", 2)[-1]
    text = text if name == b"tEXt" else text[1:]
    if packed:
        try:
            text = zlib.decompressobj().decompress(text, max(1, most))
        except zlib.error:
            return "", ""
    if len(text) >= most:
        return "", ""
    return key.decode("latin-1"), text.decode("utf-8" if name == b"iTXt" else "latin-1", "replace")


def attach(image: pyvips.Image, metadata: Metadata, file_format: str) -> tuple[pyvips.Image, str]:
    """Copy `image` with what libvips writes; return also the names that it keeps.

    The EXIF of WebP and AVIF is a placeholder, which `write_metadata` replaces.
    """
    blobs = {"icc": metadata.icc}
    if file_format not in ("JPEG", "PNG"):
        blobs["xmp"] = metadata.xmp
    if file_format in ("WebP", "AVIF") and metadata.exif:
        filler = b"ASCII\0\0\0" + _filler(metadata)
        tag = {fields.USER_COMMENT: TagValue(UNDEFINED, len(filler), filler)}
        blobs["exif"] = PREFIX + exif_block(Exif({EXIF_IFD: tag}))
    image = image.copy()
    for name, blob in blobs.items():
        if blob:
            image.set_type(pyvips.GValue.blob_type, _BLOBS[name], blob)
    return image, "|".join(blobs)


def _filler(metadata: Metadata) -> bytes:
    """Bytes as many as the EXIF block has, or some more."""
    return _FILLER * (1 + len(exif_block(metadata.exif)) // len(_FILLER))


def write_metadata(path: Path, metadata: Metadata, file_format: str) -> None:
    """Write into a file that libvips has saved what libvips does not write."""
    if file_format == "TIFF":
        tag = TagValue(UNDEFINED, len(metadata.iptc), metadata.iptc)
        metadata = metadata.having({_IPTC_TAG: tag}) if metadata.iptc else metadata
        resolution = {fields.X_RESOLUTION, fields.Y_RESOLUTION, fields.RESOLUTION_UNIT}
        add_exif(path, metadata.exif, resolution)
    elif file_format in ("WebP", "AVIF"):
        if metadata.exif:
            with path.open("r+b") as saved, mmap.mmap(saved.fileno(), 0) as data:
                first = data.find(_FILLER)
                start = max(data.rfind(head, 0, first) for head in (b"II*\0", b"MM\0*"))
                if file_format == "WebP" and data[start - 6 : start] == PREFIX:
                    start -= 6  # WebP's chunk has no prefix.
                end = first + len(_filler(metadata))
                # Zeros would look like damage.
                data[start:end] = exif_block(metadata.exif).ljust(end - start)
    else:
        pieces = (_write_jpeg if file_format == "JPEG" else _write_png)(metadata, path)
        with replacing(path) as new, new.open("wb") as target:
            target.writelines(pieces)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _write_jpeg(metadata: Metadata, path: Path) -> Iterator[bytes]:
    unit, x, y = metadata.resolution or (NONE, Fraction(1), Fraction(1))
    if unit == CM and (x.denominator > 1 or y.denominator > 1):
        unit, x, y = INCH, x * Fraction(254, 100), y * Fraction(254, 100)
    density = unit - 1, round(x), round(y)
    if not 0 < min(density[1:]) <= max(density[1:]) < 2**16:
        density = 0, 1, 1
    segments = [(b"\xe0", b"JFIF\0\1\2" + struct.pack(">BHHBB", *density, 0, 0))]
    if metadata.exif:
        segments.append((b"\xe1", PREFIX + exif_block(metadata.exif)))
    if metadata.xmp:
        segments.append((b"\xe1", _XMP + metadata.xmp))
    if metadata.iptc:
        head = _PHOTOSHOP + _IPTC + bytes(2) + len(metadata.iptc).to_bytes(4, "big")
        segments.append((b"\xed", head + metadata.iptc + bytes(len(metadata.iptc) % 2)))
    segments += [(b"\xfe", text.encode()) for _, text in metadata.texts]
    with _mapped(path) as data:
        yield data[:2]
        for name, content in segments:
            yield b"\xff" + name + (len(content) + 2).to_bytes(2, "big") + content
        name, _, _, last = next(_parts(data, "JPEG"))
        start = last if name == b"\xe0" else 2
        yield from (data[at : at + _PIECE] for at in range(start, len(data), _PIECE))


def _write_png(metadata: Metadata, path: Path) -> Iterator[bytes]:
    chunks = [(b"eXIf", exif_block(metadata.exif))] if metadata.exif else []
    unit, x, y = metadata.resolution or (NONE, Fraction(1), Fraction(1))
    if unit != NONE or x != y:
        share = {NONE: Fraction(1), INCH: Fraction(10_000, 254), CM: Fraction(100)}[unit]
        density = round(x * share), round(y * share)
        if 0 < min(density) <= max(density) < 2**31:
            chunks.append((b"pHYs", struct.pack(">IIB", *density, unit != NONE)))
    if metadata.xmp:
        chunks.append((b"iTXt", _XMP_TEXT.encode() + bytes(5) + metadata.xmp))
    for keyword, text in metadata.texts:
        key = keyword.encode("latin-1", "replace")[:79]
        try:
            chunks.append((b"tEXt", key + b"\0" + text.encode("latin-1")))
        except UnicodeError:
            chunks.append((b"iTXt", key + bytes(5) + text.encode()))
    with _mapped(path) as data:
        yield data[:33] + b"".join(metadata.chunks)
        for name, content in chunks:
            check = zlib.crc32(name + content).to_bytes(4, "big")
            yield len(content).to_bytes(4, "big") + name + content + check
        for name, _, place, last in _parts(data, "PNG"):
            if name == b"IDAT":
                yield from (data[at : at + _PIECE] for at in range(place, len(data), _PIECE))
                break
            if name not in (b"IHDR", b"pHYs"):
                yield data[place:last]
