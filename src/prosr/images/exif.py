r"""EXIF: directories of tagged values, as a TIFF file has.

Most formats store them as a block: "Exif\0\0" and a TIFF file. In a TIFF file they belong to the
file itself.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from prosr.images.tiff import DAMAGED, UNDEFINED, Directory, Entry, TagValue, Tiff

EXIF_IFD, GPS_IFD, INTEROP_IFD, MAKER_NOTE, LAYERS = 0x8769, 0x8825, 0xA005, 0x927C, 37724
PREFIX = b"Exif\0\0"
_PARENTS = {EXIF_IFD: 0, GPS_IFD: 0, INTEROP_IFD: EXIF_IFD}
_SAMPLES = {273, 279, 320, 324, 325, 347, 513, 700, 34675, LAYERS}
"""Tags of a TIFF file whose values may be long and are not EXIF: the places of its samples, its
palette and tables, XMP, the ICC profile and Photoshop's layers."""

_FREE_NOTES = b"Apple iOS\0", b"FUJIFILM", b"Nikon\0\2", b"OLYMPUS\0", b"OM SYSTEM\0", b"PENTAX \0"
"""Beginnings of maker notes that hold no places outside of themselves."""

_LAST_PLACE = 65_000
"""Maker notes further back in a block are moved: a JPEG could not hold the block."""


@dataclass(frozen=True)
class Exif:
    """EXIF directories: the main one by 0, others by the tags that point to them.

    `order` is the byte order, which maker notes share. `note` is the place of the maker note in its
    block: many notes hold offsets that are valid only there. `damaged` states that something could
    not be read.
    """

    directories: Mapping[int, Directory] = field(default_factory=lambda: {0: {}})
    order: bytes = b"MM"
    note: int = 0
    damaged: bool = False

    def __bool__(self) -> bool:
        return any(self.directories.values())

    def directory(self, pointer: int) -> Directory:
        return self.directories.get(pointer, {})

    def moves_note(self, to_tiff: bool) -> bool:
        """Whether its maker note would become wrong, because it must stay at its place."""
        note = self.directory(EXIF_IFD).get(MAKER_NOTE)
        if note is None or not self.note or note.data.startswith(_FREE_NOTES):
            return False
        return to_tiff or not 8 <= self.note < _LAST_PLACE

    def longest(self) -> tuple[int, int]:
        """Pointer and tag of its longest value."""
        lengths = {(p, t): len(v.data) for p, d in self.directories.items() for t, v in d.items()}
        return max(lengths, key=lambda key: lengths[key])

    def without(self, pointer: int, tag: int) -> Exif:
        values = {t: value for t, value in self.directory(pointer).items() if t != tag}
        return replace(self, directories={**self.directories, pointer: values})


def read_exif(stream: BinaryIO) -> Exif:
    """The EXIF of a block without its prefix, or of a TIFF file.

    Values outside the file are left out, and all of a file that states more than `_BUDGET` bytes.
    """
    found: dict[int, Directory] = {0: {}}
    note = 0
    try:
        tiff = Tiff(stream)
        found[0] = tiff.directory(tiff.first, _SAMPLES)
        if LAYERS in tiff.entries(tiff.first):
            found[0][LAYERS] = TagValue(UNDEFINED, 0, b"")
        for pointer, parent in _PARENTS.items():
            if value := found.get(parent, {}).pop(pointer, None):
                place = value.numbers()[0]
                found[pointer] = tiff.directory(place)
                if pointer == EXIF_IFD and MAKER_NOTE in found[pointer]:
                    note = tiff.place_in(tiff.entries(place)[MAKER_NOTE])
    except DAMAGED:
        return Exif(damaged=True)
    return Exif(found, tiff.order, note, tiff.damaged)


def exif_block(exif: Exif) -> bytes:
    """The directories as a block without prefix, with the maker note at its old place."""
    note = exif.directory(EXIF_IFD).get(MAKER_NOTE)
    data = note.data if note and 8 <= exif.note < _LAST_PLACE else b""
    head = {b"II": b"II*\0", b"MM": b"MM\0*"}[exif.order] + bytes(4)
    stream = io.BytesIO(head + bytes(exif.note - 8) + data if data else head)
    tiff = Tiff(stream, {data: exif.note} if data else {})
    _append_exif(tiff, exif, {})
    return stream.getvalue()


def add_exif(path: Path, exif: Exif, replaced: Collection[int]) -> None:
    """Append EXIF to a TIFF file, and its main directory rewritten without the `replaced` tags."""
    with path.open("r+b") as stream:
        tiff = Tiff(stream)
        own = tiff.entries(tiff.first)
        _append_exif(tiff, exif, {tag: own[tag] for tag in own.keys() - set(replaced)})


def _append_exif(tiff: Tiff, exif: Exif, own: Mapping[int, Entry]) -> None:
    """Append all directories; the main one also gets the `own` entries of the file."""
    entries: dict[int, dict[int, Entry]] = {0: dict(own)}
    for pointer, parent in reversed(_PARENTS.items()):
        values = exif.directory(pointer)
        inside = {tag: tiff.entry(v) for tag, v in values.items()} | entries.get(pointer, {})
        if inside:
            place = TagValue.of(tiff.pointer, tiff.append(inside))
            entries.setdefault(parent, {})[pointer] = tiff.entry(place)
    main = entries[0] | {tag: tiff.entry(value) for tag, value in exif.directory(0).items()}
    tiff.set_first(tiff.append(main))
