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
    ends = (signal.SIGINT, signal.SIGTERM, *hangup())
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def hangup() -> tuple[signal.Signals, ...]:
    """The signal of a closed terminal, if there is one and it is to be heard.

    What was started to survive its terminal (nohup) ignores it from the start.
    """
    known = [number for number in signal.Signals if number.name == "SIGHUP"]  # not on Windows
    return tuple(number for number in known if signal.getsignal(number) != signal.SIG_IGN)


def hang_up() -> None:
    """What follows the end of a terminal: it may be told twice, and nothing is read there."""
    for number in hangup():
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
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
