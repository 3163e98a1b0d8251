"""What becomes of each field of metadata when its picture is enlarged.

- Of the scene: kept as it is. That is every field that no table here names.
- Of this file: dropped, because the result has no such part (a video, a gain map, a thumbnail), or
  rewritten (sizes).
- In pixels of this file: scaled, turned and cropped with the pixels, by a `Frame`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple
from xml.dom.minidom import Node, parseString
from xml.parsers.expat import ExpatError

from prosr.images.exif import EXIF_IFD, LAYERS, Exif
from prosr.images.tiff import LONG, RATIONAL, SHORT, TagValue

VIDEO, GAIN_MAP = "the video of a motion photo", "the gain map (HDR)"
PICTURES, CREDENTIALS = "further pictures in the file", "content credentials (C2PA)"
DEPTH, EXTENDED = "depth map", "extended XMP"
UNTRUE = "fields in pixels that are damaged, or that say nothing of a picture turned or cut"


class Frame(NamedTuple):
    """How places of a stored picture map to its enlargement. Sizes are (width, height).

    The pixels are turned by the EXIF `orientation`, then scaled. If the result has another aspect,
    it is the middle of the scaled picture.
    """

    orientation: int
    stored: tuple[int, int]
    result: tuple[int, int]

    def turned(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Width and height, exchanged if the turn exchanges them."""
        return (y, x) if self.orientation >= 5 else (x, y)

    @property
    def scale(self) -> Fraction:
        """Pixels of the result for one of the stored picture."""
        return max(map(Fraction, self.result, self.turned(*self.stored)))

    @property
    def window(self) -> tuple[Any, Any]:
        """Width and height of the result as parts of the scaled picture, 1 if nothing is cut."""
        wide, high = (self.scale * side for side in self.turned(*self.stored))
        x, y = self.result
        return x / wide if wide - x > 2 else Fraction(1), y / high if high - y > 2 else Fraction(1)

    @property
    def plain(self) -> bool:
        """Whether relative places stay the same."""
        return self.orientation == 1 and self.window == (1, 1)

    def place(self, x: Fraction, y: Fraction) -> tuple[Fraction, Fraction]:
        """Move a place, both relative to width and height."""
        x, y = self.turned(x, y)
        x = 1 - x if self.orientation in (2, 3, 6, 7) else x
        y = 1 - y if self.orientation in (3, 4, 7, 8) else y
        wide, high = self.window
        return (x - (1 - wide) / 2) / wide, (y - (1 - high) / 2) / high

    def centred(self, x: Fraction, y: Fraction, *size: Fraction) -> tuple[Fraction, ...]:
        """Move the centre of a box, with or without its size, all relative to width and height."""
        if not size:
            return self.place(x, y)
        wide, high = self.turned(*size)
        return *self.place(x, y), wide / self.window[0], high / self.window[1]

    def cornered(self, x: Fraction, y: Fraction, *size: Fraction) -> tuple[Fraction, ...]:
        """Move a box of left, top, width and height, or a point."""
        if not size:
            return self.place(x, y)
        x, y, wide, high = self.centred(x + size[0] / 2, y + size[1] / 2, *size)
        return x - wide / 2, y - high / 2, wide, high

    def radius(self, length: Fraction) -> tuple[Fraction]:
        """Change a length that is relative to the width."""
        return (length * self.stored[0] * self.scale / self.result[0],)

    def in_pixels(self, move: Callable[..., Iterable[Fraction]], *numbers: Any) -> list[int]:
        """Apply one of these methods to pixels of the stored picture."""
        parts = (Fraction(n) / side for n, side in zip(numbers, self.stored * 2, strict=False))
        return [round(n * side) for n, side in zip(move(*parts), self.result * 2, strict=False)]


# --- EXIF

_OF_THE_FILE = {
    # Samples, thumbnails, XMP, IPTC, Photoshop, profile, padding, raw data.
    0: {254, 255, *range(256, 267), 273, *range(277, 282), 284, *range(288, 293), 301, 317}
    | {*range(320, 348), *range(512, 535), 700, 33723, 34377, 34675, 37724}
    | {*range(0x5001, 0x5118), 0xEA1C, 0xEA1D, *range(0xC612, 0xC800), 0xCD41} - {50844},
    # Components of a stored pixel, padding, the video of a motion photo.
    EXIF_IFD: {0x9101, 0x9102, 0xEA1C, 0xEA1D, 0x8897},
}
"""Tags of each directory that describe the file."""

ORIENTATION, SOFTWARE, DATE, USER_COMMENT = 0x0112, 0x0131, 0x0132, 0x9286
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_DESCRIPTION, _MANIFEST, _SHAPE = 0x010E, 0xCD41, '{{"shape": [{1}, {0}'.format
_AREA, _LOCATION, _FOCAL_X, _FOCAL_Y = 0x9214, 0xA214, 0xA20E, 0xA20F
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _RPC = 33550, 33922, 34264, 50844
_LONG_NAMESPACE = re.compile(r"\sxmlns[^\s=]*\s*=\s*('[^']{500}|\"[^\"]{500})")
_MOST_NODES = 50_000
"""Elements and attributes of XMP, at most: each takes a kilobyte of memory, and the length of its
namespace."""


def enlarged_exif(exif: Exif, frame: Frame) -> tuple[Exif, set[str]]:
    """The EXIF of an enlargement, and what is lost."""
    parts = {LAYERS: "Photoshop's layers", _MANIFEST: CREDENTIALS}
    lost = {what for tag, what in parts.items() if tag in exif.directory(0)}
    kept = {
        pointer: {tag: v for tag, v in values.items() if tag not in _OF_THE_FILE.get(pointer, ())}
        for pointer, values in exif.directories.items()
    }
    main, photo = kept.get(0, {}), kept.get(EXIF_IFD, {})
    if ORIENTATION in main:
        main[ORIENTATION] = TagValue.of(SHORT, 1)
    for values, tags in ((main, (X_RESOLUTION, Y_RESOLUTION)), (photo, (_FOCAL_X, _FOCAL_Y))):
        pair = frame.turned(*(values.pop(tag, None) for tag in tags))
        values |= {tag: v for tag, v in zip(tags, pair, strict=True) if v}
    for values in kept.values():
        for tag in values.keys() & _IN_PIXELS.keys():
            old = values.pop(tag)
            try:
                values[tag] = _IN_PIXELS[tag](old, frame)
            except (ArithmeticError, ValueError, TypeError):
                lost.add(UNTRUE)
    return replace(exif, directories=kept), lost


def _scaled(value: TagValue, frame: Frame) -> TagValue:
    return TagValue.of(RATIONAL, *(frame.scale * number for number in value.numbers()))


def _subject(value: TagValue, frame: Frame) -> TagValue:
    """A point, and of an area around it its diameter or its width and height."""
    x, y, *size = value.numbers()
    box = [*size, *size] if len(size) == 1 else size
    moved = frame.in_pixels(frame.centred, x, y, *box)[: 2 + len(size)]
    return TagValue.of(SHORT if 0 <= min(moved) <= max(moved) < 2**16 else LONG, *moved)


def _georeference(value: TagValue, frame: Frame) -> TagValue:
    """GeoTIFF's scale (3 numbers), points (6 each, the first two in pixels) or matrix (16)."""
    numbers, scale = value.numbers(), float(frame.scale)
    if not frame.plain or len(numbers) == 92:  # RPC
        raise ValueError
    across = {3: (0, 1), 16: (0, 1, 4, 5, 8, 9)}.get(len(numbers))
    for at in across or [at for at in range(len(numbers)) if at % 6 < 2]:
        numbers[at] = numbers[at] / scale if across else numbers[at] * scale
    return TagValue.of(value.kind, *numbers)


def _description(value: TagValue, frame: Frame) -> TagValue:
    """Sizes in OME-XML, in pixels and in units of length for a pixel, and those of tifffile."""
    old = value.data.rstrip(b"\0").decode(errors="surrogateescape")
    text = old.replace(_SHAPE(*frame.stored), _SHAPE(*frame.result), 1)
    if "<OME" not in text:
        return TagValue.of_text(text) if text != old else value

    def resize(found: re.Match[str]) -> str:
        side = found[2] if frame.orientation < 5 else {"X": "Y", "Y": "X"}[found[2]]
        if found[1]:
            return f'PhysicalSize{side}="{float(Fraction(float(found[3])) / frame.scale):.9g}"'
        return f'Size{side}="{frame.result["XY".index(side)]}"'

    text = re.sub(r'\b(Physical)?Size([XY])="([^"]+)"', resize, text)
    return TagValue.of_text(text)


_IN_PIXELS: dict[int, Callable[[TagValue, Frame], TagValue]] = {
    **dict.fromkeys((X_RESOLUTION, Y_RESOLUTION, _FOCAL_X, _FOCAL_Y), _scaled),
    **dict.fromkeys((_AREA, _LOCATION), _subject),
    **dict.fromkeys((_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION, _RPC), _georeference),
    **dict.fromkeys((0xA002, 0x1001), lambda _, frame: TagValue.of(LONG, frame.result[0])),
    **dict.fromkeys((0xA003, 0x1002), lambda _, frame: TagValue.of(LONG, frame.result[1])),
    _DESCRIPTION: _description,
}

# --- XMP

_PREFIXES = {
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xmp/note/": "note",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "gain",
    "http://ns.apple.com/HDRGainMap/1.0/": "gain",
    "http://ns.apple.com/pixeldatainfo/1.0/": "gain",
    "http://ns.adobe.com/xmp/sType/Area#": "area",
    "http://ns.acdsee.com/sType/Area#": "area",
    "http://ns.adobe.com/xap/1.0/sType/Dimensions#": "size",
    "http://ns.acdsee.com/sType/Dimensions#": "size",
    "http://ns.microsoft.com/photo/1.2/t/Region#": "region",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "iptc",
    "http://ns.google.com/photos/1.0/panorama/": "panorama",
    "http://ns.xiaomi.com/photos/1.0/camera/": "xiaomi",
    "http://purl.org/dc/terms/": "terms",
    "http://purl.org/dc/elements/1.1/": "dc",
}
"""Names for namespaces whose fields are not all of the scene; others keep their own."""

_GOOGLE = r"http://ns\.google\.com/photos/"
_XMP_OF_THE_FILE = (
    (r".*:((Motion|Live|OLive)Photo.*|MicroVideo.*|VideoLength)", VIDEO),
    (_GOOGLE + r"(dd/)?1\.0/container/.*", ""),
    (r"gain:.*", GAIN_MAP),
    (_GOOGLE + r"(1\.0/depthmap|dd/1\.0/.*)/:.*", DEPTH),
    (_GOOGLE + r"1\.0/(image|audio)/:.*", "an embedded picture or sound"),
    (r"note:HasExtendedXMP", EXTENDED),
    (r"terms:provenance", CREDENTIALS),
    (r"tiff:(BitsPer|Compression|Photometric|Samples|Planar|YCbCr|ReferenceBlack|TransferF).*", ""),
    (r"(tiff|exif):(NativeDigest|Compo.*Configuration|CompressedBitsPerPixel)", ""),
    (r"tiff:(ResolutionUnit|[XY]Resolution)", ""),
    (r"exif:(Subject(Area|Location)|FocalPlane.*)", "copies of EXIF in XMP that are in pixels"),
    (r"xmp:Thumbnails|dc:format|xiaomi:XMPMeta|photoshop:(Legacy.*|ColorMode|ICCProfile)", ""),
)
"""Properties that describe the file, and the part of it whose loss matters to people."""

_PLAIN_ONLY = (
    (r"panorama:.*", "the geometry of a panorama that was turned or cut"),
    (_GOOGLE + r"1\.0/focus/:FocalPoint.*", "the focal point of a picture that was turned or cut"),
    (r"crs:(Crop.*|HasCrop|Retouch.*|.*Correction.*|.*Mask.*)", "crops and masks of Camera Raw"),
    (r"tiff:Orientation", ""),
)
"""Properties that are true only if relative places stay the same."""

_BOXES: Iterable[tuple[tuple[str, ...], str, Callable[..., Any]]] = (
    (("area:x", "area:y", "area:w", "area:h"), "area:unit", Frame.centred),
    (("iptc:rbX", "iptc:rbY", "iptc:rbW", "iptc:rbH"), "iptc:rbUnit", Frame.cornered),
    (("iptc:rbRx",), "iptc:rbUnit", Frame.radius),
    (("region:Rectangle",), "", Frame.cornered),
    (("size:w", "size:h"), "size:unit", Frame.turned),
    (("exif:PixelXDimension", "exif:PixelYDimension"), "pixel", Frame.turned),
    (("tiff:ImageWidth", "tiff:ImageLength"), "pixel", Frame.turned),
    *(
        ((f"panorama:{part.format(side)}",), "pixel", Frame.radius)
        for part in ("FullPano{}Pixels", "CroppedArea{}Pixels", "LargestValidInteriorRect{}")
        for side in ("Left", "Top", "Width", "Height", "ImageWidth", "ImageHeight")
    ),
)
"""Properties that together are a box, their unit or the property that states it, and how it moves.
Boxes in pixels are scaled, too."""


class Property(NamedTuple):
    """A property of an XMP packet: an attribute, or an element, in the element `owner`."""

    name: str
    node: Any
    owner: Any

    @property
    def text(self) -> str:
        return str(getattr(self.node.firstChild, "data", ""))

    def set(self, text: str) -> None:
        self.node.firstChild.data = text
        self.node.nodeValue = text

    def remove(self) -> None:
        element = self.node.nodeType == Node.ELEMENT_NODE
        (self.owner.removeChild if element else self.owner.removeAttributeNode)(self.node)


def properties(owner: Any) -> Iterator[Property]:
    """All properties inside of an element or document."""
    inside = [child for child in owner.childNodes if child.nodeType == Node.ELEMENT_NODE]
    for node in [*(owner.attributes or {}).values(), *inside]:
        space = node.namespaceURI or ""
        yield Property(f"{_PREFIXES.get(space, space)}:{node.localName}", node, owner)
        if node.nodeType == Node.ELEMENT_NODE:
            yield from properties(node)


def enlarged_xmp(packet: bytes, frame: Frame) -> tuple[bytes, set[str]]:
    """The packet of an enlargement, and what is lost."""
    if packet.count(b"<") + packet.count(b"=") > _MOST_NODES:
        return b"", {"XMP, which is too long"}
    try:
        text = packet.decode({b"\0<": "utf-16-be", b"<\0": "utf-16-le"}.get(packet[:2], "utf-8"))
        if "<!DOCTYPE" in text or _LONG_NAMESPACE.search(text):
            raise ValueError
        document = parseString(text)  # not by the encoding that it states
        before = _serialised(document)
        found = list(properties(document))
    except (ExpatError, ValueError, RecursionError):
        return b"", {"XMP, which is damaged"} if packet else set()
    lost, kept = set(), []
    rules = _XMP_OF_THE_FILE + (() if frame.plain else _PLAIN_ONLY)
    for p in found:
        what = next((what for pattern, what in rules if re.fullmatch(pattern, p.name)), None)
        if what is None:
            kept.append(p)
        else:
            lost.add(what)
            p.remove()
    lost |= _change(kept, frame)
    after = _serialised(document)
    return packet if after == before else after, lost - {""}


def _serialised(document: Any) -> bytes:
    return "".join(node.toxml() for node in document.childNodes).encode()


def _change(found: list[Property], frame: Frame) -> set[str]:
    """Move all boxes. Remove values that are malformed, and return the names of lost ones."""
    lost = set()
    groups: defaultdict[Any, dict[str, Property]] = defaultdict(dict)
    for p in found:
        groups[p.owner][p.name] = p
    for owner, group in [*groups.items()]:
        for names, unit, move in _BOXES:
            box = [group[name] for name in names if name in group]
            in_pixels = bool(box) and "pixel" in (unit, _nearest(groups, owner, unit))
            if not box or (frame.plain and not in_pixels):
                continue
            moved: Callable[..., Any] = partial(move, frame)
            if in_pixels:
                moved = partial(frame.in_pixels, moved)
            try:
                numbers = moved(*(Fraction(float(n)) for p in box for n in p.text.split(",")))
                texts = [f"{float(number):.9g}" for number in numbers]
                for p, text in zip(box, texts if len(box) > 1 else [", ".join(texts)], strict=True):
                    p.set(text)
            except (ValueError, ArithmeticError, AttributeError, TypeError, IndexError):
                for p in box:
                    p.remove()
                lost.add(UNTRUE)
    return lost


def _nearest(groups: Mapping[Any, dict[str, Property]], owner: Any, name: str) -> str:
    """The text of a property of this element, or of its nearest ancestor that has it."""
    while owner is not None and name not in groups.get(owner, {}):
        owner = owner.parentNode
    return groups[owner][name].text if owner is not None else ""
