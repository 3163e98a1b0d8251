"""How a command ends by a signal; some libraries' imports do not survive one in their midst."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def signals_wait() -> Iterator[None]:
    """What Ctrl-C, SIGTERM or SIGHUP want during the block happens after it.

    Raised in what imports of PyTorch and OpenVINO run from C++, their exceptions would be lost, or
    end the process, or look like a failure of the import.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, heard())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


PATIENCE = 2.0
"""Seconds within which a second signal is taken for the first one's."""


def heard() -> list[signal.Signals]:
    """The signals that ask a process to end, but for those that it was started to ignore.

    nohup has SIGHUP ignored, a shell SIGINT for what runs in the background.
    """
    ends = [n for n in signal.Signals if n.name in ("SIGINT", "SIGTERM", "SIGHUP")]
    return [number for number in ends if signal.getsignal(number) != signal.SIG_IGN]


def notice_hangup(number: int) -> None:
    """If this is SIGHUP: it may be told twice, and nothing is read any more at the terminal."""
    if signal.Signals(number).name != "SIGHUP":
        return
    signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        # Not every stream stands for a file of the system's.
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                discard(stream.fileno())


def discard(descriptor: int) -> None:
    """Let nothing more be written to where nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def import_torch() -> None:
    """Import PyTorch while signals wait."""
    with signals_wait():
        import torch  # noqa: F401
