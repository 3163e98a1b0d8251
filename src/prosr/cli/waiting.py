"""Signals that wait: some libraries' imports do not survive an exception in their midst."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signals_wait() -> Iterator[None]:
    """What Ctrl-C or SIGTERM want during the block happens after it.

    Raised in what imports of PyTorch and OpenVINO run from C++, their exceptions would be lost, or
    end the process, or look like a failure of the import.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def import_torch() -> None:
    """Import PyTorch while signals wait."""
    with signals_wait():
        import torch  # noqa: F401
