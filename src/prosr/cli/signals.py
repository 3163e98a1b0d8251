"""Signals that end a command: which ones count, and how to postpone them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 2.0
"""Seconds in which a repeated signal counts as the first one."""


@contextmanager
def signals_wait() -> Iterator[None]:
    """Postpone Ctrl-C, SIGTERM and SIGHUP to the end of the block.

    In the middle of an import of NumPy, OpenVINO or PyTorch, the exceptions that they raise
    would be lost, end the process, or look like a failed import. Signals that end the process
    without an exception are not postponed.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    raising = [number for number in heard() if signal.getsignal(number) != signal.SIG_DFL]
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, raising)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def heard() -> list[signal.Signals]:
    """Signals that ask a process to end, except those that it inherited as ignored.

    nohup ignores SIGHUP, and a shell ignores SIGINT for background jobs.
    """
    ends = [n for n in signal.Signals if n.name in ("SIGINT", "SIGTERM", "SIGHUP")]
    return [number for number in ends if signal.getsignal(number) != signal.SIG_IGN]
