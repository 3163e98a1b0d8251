"""Memory and cores of this process: limits, measurements, and reuse of freed memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil

from prosr.errors import ConfigError

LEAST = 512_000_000
"""Lower bound of the default for `max_memory`, in bytes."""

_GROUP_2 = ("memory.max", "memory.current", "inactive_file")
_GROUP_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
"""Where control groups of version 2 and 1 state their limit, their use and what is cached."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BLOCK = 2**30
_MOST = 2.0**60
"""A number of bytes that no machine has, but that engines can still calculate with."""


def core_count() -> int:
    """The number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@cache
def reuse_freed_memory() -> None:
    """Make glibc keep freed memory for the next tile, instead of returning it to the system.

    Every layer of every tile allocates and frees blocks of many megabytes. If they return to the
    system, it zeroes their pages one by one at the next allocation: half of the time of
    an earlier `prosr-xs` ×4 on tiles of 384×384. The setting applies to the whole process, from the
    first call on. Systems without glibc ignore it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    # Setting only the second would merely stop glibc from raising the first automatically.
    if mallopt(_M_MMAP_THRESHOLD, _KEPT_BLOCK):
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BLOCK)


def release_freed_memory() -> None:
    """Return the memory that `reuse_freed_memory` kept to the system, before others need it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def default_memory() -> int:
    """The default for `max_memory`: half of the free memory, and at least 512 MB.

    Free is what the system or a container's limit leaves, whichever is less.
    """
    free = int(psutil.virtual_memory().available)
    return max(LEAST, min([free, *_left_by_cgroups()]) // 2)


def _left_by_cgroups(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """Bytes that the limits of this process's control groups leave, version 2 and version 1."""
    try:
        groups = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base, names = (root / "memory", _GROUP_1) if controllers else (root, _GROUP_2)
        folder = base / place.lstrip("/")
        # In a container the group's own path may not exist below its mount.
        for group in (folder, *folder.parents):
            if (size := _left_in(group, *names)) is not None:
                yield size
            if group == base:
                break


def _left_in(group: Path, limit: str, usage: str, cached: str) -> int | None:
    try:
        left = int((group / limit).read_text()) - int((group / usage).read_text())
    # A limit of "max" is none.
    except (OSError, ValueError):
        return None
    # The system frees cached file pages when the group needs memory.
    with contextlib.suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text().splitlines()
        left += int(dict(line.split() for line in lines).get(cached, 0))
    return left


def peak_memory() -> int | None:
    """Peak resident bytes of this process so far, or None if the system does not report it."""
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
        raise ConfigError(f"{text!r} is not a size; write for example 2G or 512M")
    size = float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " ")
    return int(min(size, _MOST))
