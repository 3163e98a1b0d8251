"""Time several functions fairly: in rounds, and each in its own process if necessary.

`torch.utils.benchmark` times one function after the other and warms up before each measurement.
This wastes minutes for functions that take minutes.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

import numpy as np

from prosr.errors import InferenceError
from prosr.inference import memory

Subject = Callable[[], object]
"""A function to be timed."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, at least one."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over the rounds."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile."""
        first, third = np.quantile(self.seconds, (0.25, 0.75)).tolist()
        return first, third


def measure(
    subjects: Mapping[str, Subject],
    rounds: int,
    limit: float = float("inf"),
    before: Callable[[str], None] = lambda name: None,
) -> dict[str, Timing]:
    """Call every subject once in each of `rounds` rounds, after one round to warm up.

    A subject that has taken more than `limit` seconds in total gets no further round. If its first
    call already takes longer, this call is its only measurement. Before each call, `before` gets
    the subject's name, to show or to prepare it; that is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            taken = seconds[name]
            if turn > 0 and sum(taken) > limit:
                continue
            before(name)
            start = time.perf_counter()
            subject()
            _synchronize()
            taken.append(time.perf_counter() - start)
    return {
        name: Timing(tuple(taken[1:] if len(taken) > 1 else taken))
        for name, taken in seconds.items()
    }


def _synchronize() -> None:
    """Wait for the GPU, if this process has loaded PyTorch and there is one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


class Isolated(Generic[T]):
    """A subject in a fresh process, without memory or compiled kernels of other subjects.

    The process calls `make(argument)` once and then the subject that it returns. `make` must
    be a function of a module, since both are pickled. The process ends with the `with` block.
    If an exception ends the block, all processes that this one has started end immediately.
    Exceptions of the subject are raised here, and `InferenceError` if the system kills the
    process.
    """

    def __init__(self, make: Callable[[T], Subject], argument: T) -> None:
        self._make, self._argument = make, argument
        fresh = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=fresh)

    def __enter__(self) -> Isolated[T]:
        return self

    def __exit__(self, raised: type[BaseException] | None, *rest: object) -> None:
        if raised is not None:
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def __call__(self) -> object:
        return self._wait(self._pool.submit(_call, self._make, self._argument))

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
"""The subject of this process, created on first use."""


def _call(make: Callable[[T], Subject], argument: T) -> object:
    if not _subjects:
        _subjects.append(make(argument))
    result = _subjects[0]()
    _synchronize()
    return result
