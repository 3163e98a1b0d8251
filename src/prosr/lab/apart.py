"""Things measured each in a process of its own, so that none finds what another has left.

Kept memory, compiled kernels and peak memory belong to a process.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from prosr.errors import InferenceError
from prosr.inference import memory
from prosr.lab.rounds import Subject

T = TypeVar("T")
R = TypeVar("R")


class Apart(Generic[T]):
    """The subject that `make(argument)` gives, made and called in a fresh process.

    Both travel there, so `make` is a function of a module. The process ends with the
    block, at once where an exception ends that. What happens there raises here;
    `InferenceError` says that the system has ended the process.
    """

    def __init__(self, make: Callable[[T], Subject], argument: T) -> None:
        self._make, self._argument = make, argument
        fresh = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=fresh)
        self._process: int | None = None

    def __enter__(self) -> Apart[T]:
        return self

    def __exit__(self, raised: type[BaseException] | None, *rest: object) -> None:
        if raised is not None and self._process is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                os.kill(self._process, signal.SIGTERM)
        self._pool.shutdown(cancel_futures=True)

    def __call__(self) -> object:
        if self._process is None:
            self._process = self._wait(self._pool.submit(os.getpid))
        return self._wait(self._pool.submit(_call, self._make, self._argument))

    def peak_memory(self) -> int:
        """Most bytes that the process has had resident, Python and PyTorch included.

        Raises `InferenceError` where the system does not tell.
        """
        peak = self._wait(self._pool.submit(memory.peak_memory))
        if peak is None:
            raise InferenceError("this system does not tell how much memory a process has had")
        return peak

    def _wait(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise InferenceError(
                f"measuring {self._argument}: the system ended the process, most likely for "
                "lack of memory; leave it out or use a machine with more"
            ) from error


def peak_memory(make: Callable[[T], Subject], argument: T) -> int:
    """Most bytes resident in a fresh process that makes the subject and calls it once."""
    with Apart(make, argument) as subject:
        subject()
        return subject.peak_memory()


_made: list[Subject] = []
"""What this process is for, from its first call on."""


def _call(make: Callable[[T], Subject], argument: T) -> object:
    if not _made:
        _made.append(make(argument))
    return _made[0]()
