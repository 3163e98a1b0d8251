"""Places: folders and buckets by their fsspec address, read with patience, written in one step."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

import fsspec
from fsspec.utils import get_protocol

from prosr.errors import ConfigError, ProSRError, printable

PRIVATE = ".prosr"
"""The folder in a target that holds the ledger, the lease and unfinished results."""

ARRIVING = f"{PRIVATE}/arriving"
"""The folder of files that get their names once they are complete."""

_ONE_STEP = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory", "oci", "oss"}
"""Stores in which an upload appears at once and whole. In others a file is renamed."""

_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Mean seconds before each repetition of a failed call: half a minute in all."""

_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError, TypeError, ValueError)

_TOKENS = ("ETag", "etag", "blob_id", "mtime", "last_modified", "LastModified", "created")
"""Names under which stores state what changes with a file, the best first."""

T = TypeVar("T")
Info = dict[str, Any]


class StoreError(ProSRError):
    """A store does not answer, or refuses a request."""


class Place:
    """A folder or file of a store. Keys are paths below it, paths are those of its file system.

    Raises `ConfigError` for an address that fsspec does not know, and in all methods `StoreError`.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or address
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.address, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            why = f"{_reason(error)}; give a folder or an address such as s3://bucket/folder"
            raise ConfigError(f"{printable(address)}: {why}") from error
        protocol = get_protocol(self.address)
        self.local, self._one_step = protocol in ("file", "local"), protocol in _ONE_STEP

    def path(self, key: str) -> str:
        return f"{self.root.rstrip('/')}/{key}" if key and self.root else key or self.root

    def full(self, key: str) -> str:
        """The address of a key for other machines: absolute if it is a local path."""
        return self.path(key) if self.local else f"{self.address}/{key}".rstrip("/")

    def shown(self, key: str) -> str:
        return printable(self.full(key))

    def info(self) -> Info | None:
        """What the store says of the folder or file itself; None if there is none."""
        return self._if_found(lambda: self.fs.info(self.root))

    def read(self, key: str, start: int | None = None, end: int | None = None) -> bytes | None:
        """The content of a small file, or a part of it; None if there is no file."""
        return self._if_found(lambda: self.fs.cat_file(self.path(key), start, end))

    def fetch(self, key: str, to: Path) -> None:
        """Copy a file to a local path. If there is no such file, there is none at the path."""
        self._if_found(lambda: self.fs.get_file(self.path(key), str(to)))

    def list(self, key: str) -> list[Info]:
        """What is directly in a folder, by name, as far as the store lists it by now."""
        path = self.path(key)
        self.fs.invalidate_cache()
        found = self._if_found(lambda: self.fs.ls(path, detail=True)) or []
        inside = [info for info in found if info["name"].strip("/") != path.strip("/")]
        return sorted(inside, key=lambda info: str(info["name"]))

    def walk(self, skipped: str | None = None) -> Iterator[tuple[str, Info]]:
        """All files below with their keys, but not hidden ones, those in `skipped` or in links."""
        keys = [""]
        while keys:
            key, below = keys.pop(), []
            for info in self.list(key):
                path = str(info["name"]).rstrip("/")
                inside = f"{key}/{path.rpartition('/')[2]}".lstrip("/")
                if Path(path).name.startswith(".") or path == skipped:
                    continue
                if info["type"] != "directory":
                    yield inside, info
                elif not info.get("islink"):
                    below.append(inside)
            keys += reversed(below)

    def delete(self, key: str, *, folder: bool = False) -> None:
        """Delete a file, or a folder with all files in it, if it exists."""
        self._if_found(lambda: self.fs.rm(self.path(key), recursive=folder))

    def put(self, key: str, content: bytes | Path) -> None:
        """Create or replace a file in one step, with these bytes or those of a local file."""

        def send(to: str) -> None:
            if isinstance(content, bytes):
                self.fs.pipe_file(to, content)
            else:
                self.fs.put_file(str(content), to)

        path, temporary = self.path(key), self.path(f"{ARRIVING}/{secrets.token_hex(8)}")
        try:
            if self._one_step:
                self._call(lambda: send(path))
                return
            for folder in (Path(temporary).parent, Path(path).parent):
                self._call(partial(self.fs.makedirs, str(folder), exist_ok=True))
            self._call(lambda: send(temporary))
            self._call(lambda: self.fs.mv(temporary, path))
        except FileNotFoundError as error:
            raise StoreError(f"{self.shown(key)}: {_reason(error)}; create it first") from error

    def _if_found(self, call: Callable[[], T]) -> T | None:
        try:
            return self._call(call)
        except FileNotFoundError:
            return None

    def _call(self, call: Callable[[], T], waits: tuple[float, ...] = _WAITS) -> T:
        try:
            return call()
        except FileNotFoundError:
            raise
        except _FINAL as error:
            raise StoreError(f"{self.shown('')}: {_reason(error)}; check access") from error
        # Each store's library has errors of its own for a lost connection or a busy server.
        except Exception as error:
            if not waits:
                why = f"the store failed again and again ({_reason(error)}); run again later"
                raise StoreError(f"{self.shown('')}: {why}") from error
        sleep(waits[0] * random.uniform(0.5, 1.5))
        return self._call(call, waits[1:])


def version_of(info: Info) -> str:
    """What changes with a file's content, from a listing: its size, and a hash or date."""
    token = next((info[name] for name in _TOKENS if info.get(name) is not None), "")
    return f"{info.get('size') or 0}-{str(token).strip(chr(34))}"


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return printable(text if len(text) <= 200 else f"{text[:199]}…")
