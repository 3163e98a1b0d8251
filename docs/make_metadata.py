"""Write the tables of docs/metadata.md: enlarge a file of each format to each other, and compare.

python docs/make_metadata.py
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from PIL.IptcImagePlugin import getiptcinfo

import prosr
from prosr.errors import ImageError
from prosr.files import write_text
from prosr.images.reading import Picture
from prosr.lab.tables import markdown

PAGE = Path(__file__).with_name("metadata.md")
HEIC = Path(__file__).parents[1] / "tests" / "data" / "turned.heic"
OUTPUTS = {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "TIFF": "tif", "AVIF": "avif"}
PHOTO, GPS = 0x8769, 0x8825
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-"
    b"syntax-ns#'><rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='a'/>"
    b"</rdf:RDF></x:xmpmeta>"
)
IPTC = b"\x1c\x02\x05\0\5title"
RESOURCES = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + struct.pack(">I", len(IPTC)) + IPTC
NOTE = b"a maker note of a camera"


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x4746] = "Maker", 4
    tags.get_ifd(PHOTO).update({0x9003: "2020:01:02 03:04:05", 0x927C: NOTE})
    tags.get_ifd(GPS).update({1: "N", 2: (50.0, 30.0, 15.0)})
    return tags


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def inputs(folder: Path) -> Iterator[tuple[str, Path]]:
    """A file of each format, with all metadata that it can hold."""
    image = Image.fromarray(np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a title")
    common: dict[str, Any] = {"exif": exif(), "icc_profile": ICC}
    options: dict[str, dict[str, Any]] = {
        "JPEG": common | {"xmp": XMP, "dpi": (300, 300), "comment": "a title"},
        "PNG": common | {"pnginfo": texts, "dpi": (300, 300)},
        "WebP": common | {"xmp": XMP, "lossless": True},
        "AVIF": common | {"xmp": XMP},
    }
    for name, settings in options.items():
        path = folder / f"{name}.{OUTPUTS[name]}"
        image.save(path, **settings)
        data = path.read_bytes()
        if name == "JPEG":
            segment = b"\xff\xed" + struct.pack(">H", len(RESOURCES) + 2) + RESOURCES
            path.write_bytes(data[:2] + segment + data[2:])
        if name == "PNG":
            more = chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP)
            more += chunk(b"tIME", bytes((7, 230, 1, 2, 3, 4, 5)))
            path.write_bytes(data[:33] + more + data[33:])
        yield name, path
    # Pillow writes no EXIF into a 16-bit picture, so prosr makes it from one.
    path = folder / "TIFF.tif"
    enlarged(folder / "JPEG.jpg", path)
    yield "TIFF", path
    image.quantize(8).save(folder / "GIF.gif", comment=b"a title")
    yield "GIF", folder / "GIF.gif"
    yield "HEIC", HEIC


def contents(path: Path) -> set[str]:
    """What another library finds in a file."""
    if path.suffix == ".heic":
        import pi_heif

        pi_heif.register_heif_opener()
    with Image.open(path) as image:
        image.load()
        tags, info = image.getexif(), image.info
        photo = tags.get_ifd(PHOTO)
        text = str([*info.values(), getattr(image, "text", "")])
        xmp = bytes(info.get("xmp") or text.encode())
        found = {
            "EXIF": 0x010F in tags,
            "Rating and the like": 0x4746 in tags,
            "maker note": photo.get(0x927C) == NOTE,
            "GPS": 1 in tags.get_ifd(GPS),
            "date": 0x9003 in photo or 0x0132 in tags,
            "XMP": b"dc:source" in xmp,
            "IPTC": bool(getiptcinfo(image)),
            "ICC profile": info.get("icc_profile") == ICC,
            "texts, comments": "a title" in text + str(xmp),
            "resolution": info.get("dpi", (1, 1))[0] > 1 or 0x011A in tags,
        }
    return {what for what, there in found.items() if there}


def depths(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files with more than 8 bits, and with alpha."""
    deep = np.linspace(0, 65_535, 12 * 16 * 3).astype(np.uint16).reshape(12, 16, 3)
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    tifffile.imwrite(folder / "float.tif", deep.astype(np.float32) / 65_535, photometric="rgb")
    clear = Image.fromarray(np.arange(12 * 16 * 4, dtype=np.uint8).reshape(12, 16, 4))
    clear.save(folder / "alpha.png")
    clear.convert("RGB").convert("L").save(folder / "gray.png")
    yield "16 bits", folder / "deep.tif"
    yield "32-bit float", folder / "float.tif"
    yield "alpha", folder / "alpha.png"
    yield "gray", folder / "gray.png"


def enlarged(path: Path, target: Path) -> tuple[Path | None, list[str]]:
    """The result, or None if it is refused, and the notes about it."""
    notes: list[str] = []
    try:
        upscaler = prosr.load("bicubic")
        upscaler.upscale(path, 2, output=target, overwrite=True, note=notes.append)
    except ImageError:
        return None, notes
    return target, notes


def tables(folder: Path) -> str:
    """Both tables. Raises `AssertionError` if a loss is not said."""
    found = [(name, path, contents(path)) for name, path in inputs(folder)]
    everything = list(dict.fromkeys(what for _, _, there in found for what in sorted(there)))
    heads = [f"to {name}" for name in OUTPUTS]
    metadata, pixels = list[list[str]](), list[list[str]]()
    for name, path, there in found:
        cells = []
        for suffix in OUTPUTS.values():
            target, said = enlarged(path, folder / f"result-{name}.{suffix}")
            assert target is not None
            lost = sorted(there - contents(target))
            assert all(any(what in line for line in said) for what in lost), (name, suffix, lost)
            cells.append("all" if not lost else "not " + ", ".join(lost))
        listed = ", ".join(what for what in everything if what in there)
        metadata.append([name, listed, *cells])
    for what, path in depths(folder):
        cells = []
        for suffix in OUTPUTS.values():
            target, said = enlarged(path, folder / f"pixels.{suffix}")
            cells.append(kept(what, Picture(target), said) if target else "refused")
        pixels.append([what, *cells])
    first = markdown(["input", "metadata that prosr reads", *heads], metadata)
    return f"{first}\n\n{markdown(['pixels', *heads], pixels)}"


def kept(what: str, picture: Picture, said: list[str]) -> str:
    if what == "alpha":
        return "kept" if picture.channels == 4 else "lost"
    if what == "gray":
        return "kept" if picture.channels == 1 else "as RGB"
    bits = picture.bits or 8 * picture.dtype.itemsize
    full = 32 if "float" in what else 16
    assert bits == full or said, (what, picture.format)
    return "kept" if bits == full else f"{bits} bits"


def page() -> str:
    """The page with new tables."""
    before, start, rest = PAGE.read_text(encoding="utf-8").partition("<!-- tables -->\n")
    _, end, after = rest.partition("<!-- end of tables -->\n")
    assert start and end
    with tempfile.TemporaryDirectory() as folder:
        made = tables(Path(folder))
    return f"{before}{start}\n{made}\n\n{end}{after}"


if __name__ == "__main__":
    write_text(PAGE, page())
