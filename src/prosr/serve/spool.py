"""The spool: a private folder with a folder for each picture, in which upload and result lie."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from prosr.serve.store import StoredPicture

_CHUNK = 1_000_000
PREVIEWS = ("before.png", "after.png")  # a piece of a picture, and its enlargement


class Spool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def place(self, job: str, number: int) -> Path:
        """The folder of a picture, its result and its preview."""
        return self._folder / job / str(number)

    def write(self, job: str, number: int, name: str, source: BinaryIO) -> StoredPicture:
        """Copy an upload to the disk. Raises `OSError` if the disk is full."""
        folder, name = self.place(job, number), safe_name(name)
        folder.mkdir(parents=True)
        digest, size = hashlib.sha256(), 0
        with (folder / name).open("xb") as file:
            while chunk := source.read(_CHUNK):
                size += file.write(chunk)
                digest.update(chunk)
            file.flush()
            os.fsync(file.fileno())
        sha256 = digest.hexdigest()
        return StoredPicture(job=job, number=number, name=name, bytes=size, sha256=sha256)

    def remove(self, job: str) -> None:
        shutil.rmtree(self._folder / job, ignore_errors=True)

    def keep_only(self, jobs: Collection[str]) -> None:
        """Remove all else: uploads that were never accepted, temporary files of dead workers."""
        for path in self._folder.iterdir():
            if path.name not in jobs:
                self.remove(path.name)
        for path in self._folder.glob("*/*/.*"):
            path.unlink(missing_ok=True)

    def free(self) -> int:
        return shutil.disk_usage(self._folder).free


def safe_name(name: str) -> str:
    """A client's file name without folders, dots in front, and characters with a meaning."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w .,()+@=-]", "_", last).strip(" .-_")
    stem, dot, suffix = plain.rpartition(".") if "." in plain else (plain, "", "")
    # A file system takes 255 bytes, and a character up to four.
    short = f"{stem[:40].rstrip(' .')}{dot}{suffix[:8]}"
    return short if stem and short not in PREVIEWS else f"picture{dot}{suffix[:8]}"
