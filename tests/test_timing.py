"""Functions are timed in rounds, and each in its own process if need be."""

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from prosr.errors import InferenceError
from prosr.evaluation.timing import Subject, Timing, measure
from prosr.lab.isolated import Isolated


def test_subjects_take_turns_after_a_round_to_warm_up() -> None:
    calls: list[str] = []
    subjects = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    timings = measure(subjects, 3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_a_subject_over_the_limit_is_called_once_and_the_others_continue() -> None:
    timings = measure({"slow": lambda: time.sleep(0.02), "fast": lambda: None}, 4, limit=0.01)
    assert len(timings["slow"].seconds) == 1
    assert timings["slow"].median >= 0.02
    assert len(timings["fast"].seconds) == 4


def test_median_and_quartiles_are_robust_against_one_slow_round() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0))
    assert timing.median == 3
    assert timing.quartiles == (2, 4)
    assert Timing((5.0,)).quartiles == (5, 5)


def test_preparing_a_call_is_not_timed() -> None:
    calls: list[str] = []

    def prepare(name: str) -> None:
        calls.append(name)
        time.sleep(0.02)

    timings = measure({"a": lambda: None}, 2, before=prepare)
    assert calls == ["a"] * 3
    assert timings["a"].median < 0.01


def make_block(megabytes: int) -> Subject:
    """A subject that fills this much memory."""
    return lambda: np.ones(megabytes * 1_000_000, np.uint8).nbytes


def make_counter(start: int) -> Subject:
    """A subject that returns its process id and counts its calls."""
    count = start

    def subject() -> tuple[int, int]:
        nonlocal count
        count += 1
        return os.getpid(), count

    return subject


def make_failure(status: int) -> Subject:
    """A subject that ends its process with `status`, or raises if that is 0."""
    return (lambda: os._exit(status)) if status else (lambda: 1 // 0)


def make_sleeper(seconds: int) -> Subject:
    """A subject that returns its process id in its first call and sleeps in others."""
    process = [os.getpid()]
    return lambda: process.pop() if process else time.sleep(seconds)


@pytest.mark.skipif(os.name != "posix", reason="signals go to processes on POSIX only")
def test_an_interrupt_does_not_wait_for_the_isolated_process() -> None:
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    # Shells let background processes ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Isolated(make_sleeper, 100) as subject:
            process = subject()
            start = time.monotonic()
            interrupt.start()
            subject()
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 50
    assert isinstance(process, int)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_an_isolated_subject_is_made_once_in_its_own_process() -> None:
    with Isolated(make_counter, 5) as subject:
        seen: list[Any] = [subject(), subject()]
    (first, one), (second, two) = seen
    assert first == second != os.getpid()
    assert (one, two) == (6, 7)


def test_peak_memory_counts_the_subject_and_not_this_process() -> None:
    def peak_memory(megabytes: int) -> int:
        with Isolated(make_block, megabytes) as subject:
            subject()
            return subject.peak_memory()

    held = np.ones(400_000_000, np.uint8)
    small, large = peak_memory(1), peak_memory(200)
    assert 190_000_000 < large - small < 230_000_000
    assert small < held.nbytes


def test_an_exception_in_the_isolated_process_is_raised_here() -> None:
    with Isolated(make_failure, 0) as subject, pytest.raises(ZeroDivisionError):
        subject()


def test_a_killed_process_raises_an_error_with_the_remedy() -> None:
    with Isolated(make_failure, 3) as subject, pytest.raises(InferenceError, match="more memory"):
        subject()
