"""Memory of this process and of the system: limits, readings, and what freed memory becomes."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from functools import cache
from pathlib import Path

import psutil

from prosr.errors import ConfigError

LEAST = 512_000_000
"""Bytes of the smallest default for `max_memory`."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BLOCK = 2**30
_MOST = 2.0**60
"""Bytes that no machine has, and that engines still can count with."""


@cache
def reuse_freed_memory() -> None:
    """Make glibc keep freed memory for the next tile, instead of returning it to the system.

    Every layer of every tile takes and frees blocks of many megabytes. Returned to the
    system, they come back as pages to be zeroed one by one: that was half of the time for
    `prosr-xs` ×4 on tiles of 384×384. It holds for the process, from the first call on; on
    systems without glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    # The second alone would only stop glibc from raising the first by itself.
    if mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK):
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BLOCK)


def release_freed_memory() -> None:
    """Give back to the system what `reuse_freed_memory` kept, before others need memory."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def available_memory() -> int:
    """Bytes that this process may take without others being swapped out or it being ended.

    That is the system's available memory, or what a container's limit leaves.
    """
    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_left_by_cgroups()]))


def default_memory() -> int:
    """The default for `max_memory`: half of the available memory, and at least 512 MB."""
    return max(LEAST, available_memory() // 2)


def _left_by_cgroups(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """What the limits of this process's control groups leave, version 2 and version 1."""
    try:
        groups = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    left = []
    for line in groups:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "memory" if controllers else root
        names = _CGROUP_FILES[1 if controllers else 0]
        folder = base / place.lstrip("/")
        # In a container the group's own path may not exist below its mount.
        for group in (folder, *folder.parents):
            if (size := _left_in(group, *names)) is not None:
                left.append(size)
            if group == base:
                break
    return left


_CGROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _left_in(group: Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        left = int((group / limit).read_text()) - int((group / usage).read_text())
    # A limit of "max" is none.
    except (OSError, ValueError):
        return None
    # The system takes back what it cached of files when the group needs memory.
    with contextlib.suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text().splitlines()
        left += int(dict(line.split() for line in lines).get(cached, 0))
    return left


def resident_memory() -> int:
    """Bytes that this process has in memory now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory() -> int | None:
    """Most bytes that this process had in memory so far, or None on systems without a record."""
    # On Linux `getrusage` includes the parent's memory from before this process started.
    with contextlib.suppress(OSError, IndexError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    try:
        import resource
    except ModuleNotFoundError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def parse_size(text: str) -> int:
    """Bytes of "2G", "512 MB", "1.5g" or "2000000000", by powers of 1000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if match is None:
        raise ConfigError(f"{text!r} is no size; write for example 2G or 512M")
    size = float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " ")
    return int(min(size, _MOST))
