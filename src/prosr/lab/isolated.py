"""Subjects of timings in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Generic, TypeVar

from prosr.errors import InferenceError
from prosr.evaluation.timing import Subject, synchronize
from prosr.inference import memory

T = TypeVar("T")
R = TypeVar("R")


class Isolated(Generic[T]):
    """A subject in a fresh process, without memory or compiled kernels of other subjects.

    The process calls `make(argument)` at first and then the subject that it returns. `make` must
    be a function of a module, since both are pickled. The process ends with the `with` block.
    If an exception ends the block, all processes that this one has started end immediately.
    Exceptions of the subject are raised here, and `InferenceError` if the system kills the
    process.
    """

    def __init__(self, make: Callable[[T], Subject], argument: T) -> None:
        self._make, self._argument = make, argument
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Isolated[T]:
        with ExitStack() as ending:
            ending.push(self.__exit__)
            self._wait(self._pool.submit(_make, self._make, self._argument))
            ending.pop_all()
        return self

    def __exit__(self, raised: type[BaseException] | None, *rest: object) -> None:
        if raised is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def __call__(self) -> object:
        return self._wait(self._pool.submit(_call))

    def peak_memory(self) -> int:
        """Peak resident memory of the process in bytes, Python and its libraries included.

        Raises `InferenceError` if the system does not report it.
        """
        peak = self._wait(self._pool.submit(memory.peak_memory))
        if peak is None:
            raise InferenceError("this system does not report the peak memory of a process")
        return peak

    def _wait(self, future: Future[R]) -> R:
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise InferenceError(
                f"measuring {self._argument}: the system killed the process, most likely "
                "because memory ran out; leave this case out or use a machine with more memory"
            ) from error


_subjects: list[Subject] = []
"""The subject of this process."""


def _make(make: Callable[[T], Subject], argument: T) -> None:
    _subjects.append(make(argument))


def _call() -> object:
    result = _subjects[0]()
    synchronize()
    return result
