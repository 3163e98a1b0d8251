"""Signals that wait: PyTorch's import does not survive an exception in its midst."""

from __future__ import annotations

import signal


def import_torch() -> None:
    """Import PyTorch; what Ctrl-C or SIGTERM want meanwhile happens afterwards.

    Raised in what its import runs from C++, their exceptions would be lost or abort the process.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        import torch  # noqa: F401
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
