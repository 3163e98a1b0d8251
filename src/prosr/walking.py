"""The files below a folder: one rule for training, enlarging and everything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path, excluded: Path | None = None) -> Iterator[Path]:
    """All files below a folder, and at the end the folders that cannot be read.

    Hidden files and folders are skipped. Links to folders are followed after all real folders, but
    each folder is entered once, whatever its names, and neither `excluded` nor the folders around
    `folder` are.
    """
    entered = {*folder.resolve().parents} | ({excluded.resolve()} if excluded else set())
    unread: list[OSError] = []
    waiting = [folder]
    while waiting:
        for place, below, names in os.walk(waiting.pop(0), onerror=unread.append):
            real = Path(place).resolve()
            below[:] = sorted(name for name in below if not name.startswith("."))
            if real in entered:
                below.clear()
                continue
            entered.add(real)
            paths = (Path(place, name) for name in below)
            waiting += [path for path in paths if path.is_symlink()]
            yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))
    yield from (Path(error.filename) for error in unread)
