"""Writing so that a reader sees the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from prosr.errors import ConfigError, ProSRError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary path beside `path` that takes its place when the block succeeds.

    The temporary file keeps `path`'s suffix (savers choose a format by it), starts with
    a dot, and is removed when the block raises, `KeyboardInterrupt` included.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:60]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_here(folder: Path) -> Iterator[None]:
    """Keep other processes from working in a folder at the same time; the lock dies with this one.

    Raises `ConfigError` if another one works there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"{folder}: another prosr is at work there; wait for it or use another folder"
        ) from None
    except OSError as error:
        raise ProSRError(f"{folder}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        lock.release()


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` in place of `path`, atomically, or raise `ProSRError` with what forbids it."""
    with _explaining(path), replacing(path) as temporary:
        temporary.write_bytes(data)


def check_writable(path: Path) -> None:
    """Raise what `write_bytes` would of a folder that takes no files; it is made if need be."""
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ProSRError(f"{path}: cannot be written ({reason}); give another place") from error


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, of `text` as UTF-8."""
    write_bytes(path, text.encode())


def write_rows(path: Path, rows: Iterable[object]) -> None:
    """As `write_bytes`, of a JSON list with each of `rows` on a line of its own."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")
