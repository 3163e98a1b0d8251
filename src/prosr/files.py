"""Atomic writing: readers see the old file or the new one, never a part of one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prosr.errors import ConfigError, ImageError, ProSRError, printable


class TargetExistsError(ImageError):
    """A file appeared where a result must not replace one."""


@contextmanager
def replacing(path: Path, over: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file there replaces `path` after the block.

    Its name starts with a dot and has the suffix of `path`, from which savers infer the format. The
    file is removed if the block raises, also on `KeyboardInterrupt`. Without `over`, raises
    `TargetExistsError` if anything is at `path` by then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:60]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        if over:
            os.replace(temporary, path)
        else:
            _place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _place(temporary: Path, path: Path) -> None:
    try:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links; an empty file reserves the name
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            os.replace(temporary, path)
    except FileExistsError:
        raise TargetExistsError(
            f"{printable(str(path))} has appeared during the work; replace it with --overwrite"
        ) from None


@contextmanager
def only_here(path: Path, is_file: bool = False) -> Iterator[None]:
    """Lock a folder, or a file, during the block. A process that ends releases its locks.

    Waits for a file that another process has locked, and raises `ConfigError` for a folder. Raises
    `ProSRError` if it cannot be written.
    """
    # Imported here because enlarging a picture needs no lock.
    from filelock import FileLock, Timeout

    place = path.with_name(f".{path.name}.lock") if is_file else path / ".lock"
    with explaining(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(place, timeout=-1 if is_file else 0).acquire()
        except Timeout:
            raise ConfigError(
                f"{path}: used by another prosr process; wait for it or use another folder"
            ) from None
    with lock:
        yield


def write_bytes(path: Path, data: bytes, over: bool = True) -> None:
    """Write `data` to `path` as `replacing` does. Raises `ProSRError` if it cannot be written."""
    with explaining(path), replacing(path, over) as temporary:
        temporary.write_bytes(data)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Raise `ProSRError` instead of an `OSError` of the block: `path` cannot be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ProSRError(f"{path}: cannot be written ({reason}); use another path") from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for `text`, as UTF-8."""
    write_bytes(path, text.encode())


def write_rows(path: Path, rows: Iterable[object]) -> None:
    """`write_bytes` for a JSON list with one line for each of the `rows`."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")
