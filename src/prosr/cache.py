"""The user's cache: folders that are made once and kept from one run to the next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from platformdirs import user_cache_path

from prosr.errors import ProSRError

_KEPT = 40
"""Folders in the cache; the least recently used ones are deleted."""


def cache_folder() -> Path:
    """`$PROSR_CACHE`, or "prosr" where the system keeps users' caches."""
    chosen = os.environ.get("PROSR_CACHE")
    return Path(chosen) if chosen else user_cache_path("prosr", appauthor=False)


def cached_folder(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache; `make` fills it unless it exists already.

    It appears under its name once it is complete. Where the cache cannot be written, as in a
    container without a home or on a full disk, the folder lasts as long as this process.
    Raises `ProSRError` where no place takes it, and whatever `make` raises.
    """
    path = cache_folder() / name
    if path.is_dir():
        # A cache that belongs to another user works as well.
        with suppress(OSError):
            path.touch()
        return path
    spare = Path(_spare_folder().name) / name
    if spare.is_dir():
        return spare
    with suppress(OSError):
        return _made(path, make)
    try:
        return _made(spare, make)
    except OSError as error:
        raise ProSRError(
            f"the model can be cached neither in {path.parent} nor in {spare.parent} "
            f"({error.strerror}); free some space, or set PROSR_CACHE to another folder"
        ) from error


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=".", dir=path.parent))
    try:
        make(temporary)
        try:
            temporary.rename(path)
        except OSError:
            # Another process has finished the same folder first.
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _prune(path.parent)
    return path


@cache
def _spare_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="prosr-")


def _prune(folder: Path) -> None:
    found = []
    for path in folder.glob("[!.]*/"):
        # Another process may have removed it since.
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)
