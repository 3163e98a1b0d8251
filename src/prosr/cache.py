"""The user's cache: folders that are made once and kept from one run to the next."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

from prosr.errors import ProSRError

_KEPT = 40
"""Folders in the cache; the least recently used ones are deleted."""


def cache_folder() -> Path:
    """`$PROSR_CACHE`, or "prosr" where the system keeps users' caches.

    Users without a home get a temporary folder, which lasts as long as this process.
    """
    if chosen := os.environ.get("PROSR_CACHE"):
        return Path(chosen)
    try:
        path = user_cache_path("prosr", appauthor=False)
    # Older versions of platformdirs return a path that begins with "~" instead.
    except RuntimeError:
        return _spare_folder()
    return path if path.is_absolute() else _spare_folder()


def cached_folder(name: str, make: Callable[[Path], None]) -> Path:
    """The folder "graphs/`name`" in the cache; `make` fills it unless it exists already.

    It appears under its name once it is complete. Where the cache cannot be written, as in a
    container without a home or on a full disk, the folder lasts as long as this process.
    Raises `ProSRError` where no place takes it, and whatever else `make` raises.
    """
    path = cache_folder() / "graphs" / name
    if _is_readable(path):
        # A cache that belongs to another user works as well.
        with suppress(OSError):
            path.touch()
        return path
    spare = _spare_folder() / "graphs" / name
    if _is_readable(spare):
        return spare
    with suppress(OSError):
        return _made(path, make)
    try:
        return _made(spare, make)
    except OSError as error:
        raise ProSRError(
            f"the model can be cached neither in {path.parent} nor in {spare.parent} "
            f"({error.strerror or error}); free some space, or set PROSR_CACHE to another folder"
        ) from error


def _is_readable(folder: Path) -> bool:
    # Unlike `Path.is_dir`, this does not raise where a folder above is closed to this user.
    return os.access(folder, os.R_OK | os.X_OK)


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    # Not of `mkdtemp`, whose folders are closed to the other users of a shared cache.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.mkdir(parents=True)
    try:
        make(temporary)
        for file in temporary.iterdir():
            with file.open("rb+") as written:
                os.fsync(written.fileno())
        try:
            temporary.rename(path)
        except OSError:
            # Another process has finished the same folder first.
            if not _is_readable(path):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(path.parent)
    return path


@cache
def _spare_folder() -> Path:
    folder = TemporaryDirectory(prefix="prosr-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _prune(folder: Path) -> None:
    found = []
    for path in folder.glob("[!.]*/"):
        # Another process may have removed it since.
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
