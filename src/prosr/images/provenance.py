"""Provenance of results: network, request and source file.

A picture stores its provenance in EXIF's Software, a clip in its comment, after any existing text.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from prosr.images.loading import explaining, open_file

MAKING = re.compile(
    r"(prosr [^;]{1,60} [a-z]{1,9}[0-9][0-9a-z.+]{0,99} (?:[0-9a-f]{12}|-))"
    r"(?: of ([0-9a-f]{12})@([0-9a-f]{8})\.([0-9a-f]{8}))?(?=;|$)"
)
"""A mark, and optionally the content, place and dates of an `Origin`."""


class Origin(NamedTuple):
    """Identifies the source file of a result by hashes of its content, path and dates.

    The content hash requires reading the file. If the path and dates match, the file is
    unchanged and need not be read.
    """

    content: str = ""
    place: str = ""
    dates: str = ""


class Making(NamedTuple):
    """The provenance of a result; `mark` is empty for a file that prosr did not write."""

    mark: str = ""
    origin: Origin = Origin()

    def __str__(self) -> str:
        content, place, dates = self.origin
        return f"{self.mark} of {content}@{place}.{dates}"


def mark(model: str, request: str, sha256: str) -> str:
    """The mark of a network's results: model, request and the first 12 digits of its hash.

    The request is such as "x4" or "fit3840x2160", with the settings of the encoder: "x4+q80". The
    name is cut to 60 characters, and "_" replaces semicolons and all that is not ASCII.
    """
    name = re.sub(r"[^ -~]|;", "_", model)[:60]
    return f"prosr {name} {request} {sha256[:12] or '-'}"


def origin_of(path: Path, *, read: bool = True) -> Origin:
    """Hash a source file's path and dates, and its content if reading it is allowed.

    Raises `ImageError`.
    """
    content = ""
    with explaining(path):
        # Take the dates first: if the file changes during reading, they will not match later.
        now = path.stat()
        if read:
            with open_file(path) as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    place = os.fsencode(os.path.normcase(os.path.abspath(path)))
    # A copy can keep the modification time but not the change time (ctime).
    dates = f"{now.st_size} {now.st_mtime_ns} {now.st_ctime_ns}".encode()
    return Origin(content, *(hashlib.sha256(what).hexdigest()[:8] for what in (place, dates)))


def find_making(text: str) -> Making:
    """Return the last provenance in a text."""
    found = MAKING.findall(text)
    return Making(found[-1][0], Origin(*found[-1][1:])) if found else Making()
