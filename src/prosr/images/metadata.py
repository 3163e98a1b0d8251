"""The metadata that an enlargement inherits, in a form that no format determines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from prosr.images.exif import EXIF_IFD, Exif
from prosr.images.fields import SOFTWARE, USER_COMMENT
from prosr.images.tiff import UNDEFINED, TagValue

NONE, INCH, CM = 1, 2, 3
"""EXIF's units of a resolution."""

COLOURS = {b"sRGB", b"cHRM", b"gAMA", b"cICP", b"mDCV", b"cLLI"}
"""Chunks of a PNG that state what its samples mean."""


@dataclass(frozen=True)
class Metadata:
    """Metadata that an enlargement inherits.

    `texts` are keywords and texts as in PNG; comments of a JPEG have the keyword "Comment". `iptc`
    is IPTC without Photoshop's frame. `resolution` is EXIF's unit (1 none, 2 inch, 3 cm) and pixels
    per unit across and down, None if the file does not state it. `chunks` are those that only PNG
    has. `lost` names what no result inherits. The picture has `stored` width and height, and is
    turned by the EXIF `orientation`; its samples have `bits`. Results state `dpi`, by default the
    resolution by which a print's size stays the same, if the file states one.
    """

    exif: Exif = field(default_factory=Exif)
    xmp: bytes = b""
    icc: bytes = b""
    iptc: bytes = b""
    texts: tuple[tuple[str, str], ...] = ()
    resolution: tuple[int, Fraction, Fraction] | None = None
    chunks: tuple[bytes, ...] = ()
    lost: frozenset[str] = frozenset()
    stored: tuple[int, int] = (1, 1)
    orientation: int = 1
    bits: int = 8
    dpi: float | None = None

    @property
    def software(self) -> str:
        """EXIF's Software."""
        value = self.exif.directory(0).get(SOFTWARE)
        return value.data.rstrip(b"\0").decode(errors="replace") if value else ""

    @property
    def comment(self) -> str:
        """EXIF's UserComment: 8 bytes for the encoding, then the text."""
        value = self.exif.directory(EXIF_IFD).get(USER_COMMENT)
        data = value.data if value else b""
        utf16 = "utf-16-le" if self.exif.order == b"II" else "utf-16-be"
        encoding = utf16 if data.startswith(b"UNICODE") else "utf-8"
        return data[8:].decode(encoding, "replace").rstrip("\0 ")

    def commenting(self, text: str) -> Metadata:
        """With another UserComment."""
        order = "le" if self.exif.order == b"II" else "be"
        data = b"UNICODE\0" + text.encode(f"utf-16-{order}", "replace")
        return self.having({USER_COMMENT: TagValue(UNDEFINED, len(data), data)}, EXIF_IFD)

    def having(self, tags: dict[int, TagValue], pointer: int = 0) -> Metadata:
        """With tags in an EXIF directory."""
        directories = {**self.exif.directories, pointer: self.exif.directory(pointer) | tags}
        return replace(self, exif=replace(self.exif, directories=directories))

    def stripped(self) -> Metadata:
        """Only what shows the pixels as they are: colours, size, resolution."""
        chunks = tuple(chunk for chunk in self.chunks if chunk[4:8] in COLOURS)
        plain = replace(self, exif=Exif(), xmp=b"", iptc=b"", texts=(), chunks=chunks)
        return replace(plain, lost=frozenset())

    def losing(self, *lost: str) -> Metadata:
        return replace(self, lost=self.lost.union(filter(None, lost)))
