"""Standard output and error: no character and no failure of theirs interrupts a command.

A name may have characters that the console's encoding lacks; they are escaped. A stream may be
closed, or its disk full, or its reader gone (`prosr … | head`); the work goes on without it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any


class _Output(io.RawIOBase):
    """Writes to a file descriptor. After the first error, `trouble`, it drops what it gets."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.trouble: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        if self.trouble is None:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                self.trouble = error
        return len(memoryview(data))


def prepare() -> None:
    """Replace `sys.stdout` and `sys.stderr`, unless something in this process captures them."""
    # A file must not get the number of a closed stream: what libraries print would go into it.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            # Python has no stream for a descriptor that is closed.
            descriptor = stream.fileno() if stream else -1
        except (OSError, AttributeError):
            continue
        output = io.BufferedWriter(_Output(descriptor))
        encoding = getattr(stream, "encoding", None) or "utf-8"
        setattr(sys, name, io.TextIOWrapper(output, encoding, "backslashreplace", None, True))


def say(line: str) -> None:
    """Write a line to standard error."""
    print(line, file=sys.stderr, flush=True)


def finish(code: int | str | None) -> int | str | None:
    """The exit code: another than 0 if output was lost, except to a reader who has gone."""
    lost = None
    for stream in (sys.stderr, sys.stdout):
        with suppress(OSError):
            stream.flush()
        lost = getattr(getattr(getattr(stream, "buffer", None), "raw", None), "trouble", None)
    if lost is None or lost.errno == errno.EPIPE:
        return code
    say(f"error: standard output: {lost.strerror}; some of it is lost")
    return code or 1
