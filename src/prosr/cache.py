"""The user's cache: folders that are created once and kept between runs."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_cache_path

from prosr.errors import ProSRError


def cache_folder() -> Path:
    """`$PROSR_CACHE`, or "prosr" in the system's cache folder.

    Users without a home directory get a temporary folder, which is deleted when this process ends.
    """
    if chosen := os.environ.get("PROSR_CACHE"):
        return Path(chosen)
    try:
        path = user_cache_path("prosr", appauthor=False)
    # Older versions of platformdirs return a path that begins with "~" instead.
    except RuntimeError:
        return _spare_folder()
    return path if path.is_absolute() else _spare_folder()


def cached_folder(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder "graphs/`name`" in the cache; `make` fills it unless it exists already.

    The folder gets its name once it is complete. If the cache is not writable, as in a container
    without a home directory or on a full disk, the folder is temporary and is deleted when this
    process ends. Raises `ProSRError` if no folder is writable, and whatever `make` raises.
    """
    for base in (cache_folder(), _spare_folder()):
        path = base / "graphs" / name
        try:
            if not _is_readable(path):
                _make(path, make)
            return path
        except OSError as error:
            problem = error
    raise ProSRError(
        f"the model can be cached neither in {cache_folder()} nor in {_spare_folder()} "
        f"({problem.strerror or problem}); free some space, or set PROSR_CACHE to another folder"
    ) from problem


def _is_readable(folder: Path) -> bool:
    # Unlike `Path.is_dir`, this does not raise if the user may not read a parent folder.
    return os.access(folder, os.R_OK | os.X_OK)


def _make(path: Path, make: Callable[[Path], object]) -> None:
    # Not `mkdtemp`: other users of a shared cache could not read its folders.
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
            # Another process finished the same folder first.
            if not _is_readable(path):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@cache
def _spare_folder() -> Path:
    folder = TemporaryDirectory(prefix="prosr-")
    atexit.register(folder.cleanup)
    return Path(folder.name)
