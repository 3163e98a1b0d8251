"""What a result says of its making: by which network, at which scale, and of which file.

Pictures say it in EXIF's Software, clips in their comment, each behind what stood there.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from prosr.images.loading import explaining, open_descriptor

_MAKING = re.compile(
    r"(prosr [^;]+ x[248] (?:[0-9a-f]{12}|-))"
    r"(?: of ([0-9a-f]{12})@([0-9a-f]{8})\.([0-9a-f]{8}))?(?=;|$)"
)


class Origin(NamedTuple):
    """Which file a result was made of, as hashes of its content, its place and its dates.

    The content costs reading the file; the others tell without it that nothing was changed.
    """

    content: str = ""
    place: str = ""
    dates: str = ""


class Making(NamedTuple):
    """What a result says of its making; the mark is empty on what is no result of ours."""

    mark: str = ""
    origin: Origin = Origin()

    def __str__(self) -> str:
        content, place, dates = self.origin
        return f"{self.mark} of {content}@{place}.{dates}"


def mark(model: str, scale: int, sha256: str) -> str:
    """Which network made a result, and at which scale.

    EXIF holds ASCII alone, and libvips 255 characters of it: a name is cut, and what it has
    beyond that becomes "_".
    """
    name = re.sub(r"[^ -~]|;", "_", model)[:60]
    return f"prosr {name} x{scale} {sha256[:12] or '-'}"


def origin_of(path: Path) -> Origin:
    """What the result of a file says of it; reads all of the file. Raises `ImageError`."""
    # The dates first: should it change while it is read, they will not be those found later.
    without = unread_origin_of(path)
    with explaining(path), open(open_descriptor(path), "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return without._replace(content=content[:12])


def unread_origin_of(path: Path) -> Origin:
    """As `origin_of`, without the content."""
    with explaining(path):
        now = path.stat()
    place = os.fsencode(os.path.normcase(os.path.abspath(path)))
    # Copies that keep the time of the last change do not keep that of the file itself.
    dates = f"{now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}".encode()
    return Origin("", *(hashlib.sha256(what).hexdigest()[:8] for what in (place, dates)))


def find_making(text: str) -> Making:
    """The last one that a text, in which others may stand before it, tells of."""
    found = _MAKING.findall(text)
    return Making(found[-1][0], Origin(*found[-1][1:])) if found else Making()


def without_makings(text: str) -> str:
    """What a text says beside them."""
    return _MAKING.sub("", text).strip("; ")
