"""What is measured apart has a process of its own, from its making to its end."""

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from prosr.errors import InferenceError
from prosr.lab.apart import Apart, peak_memory
from prosr.lab.rounds import Subject

calls = 0


def make_block(megabytes: int) -> Subject:
    """A subject that fills so much memory."""
    return lambda: np.ones(megabytes * 1_000_000, np.uint8).nbytes


def make_counter(start: int) -> Subject:
    count = start

    def subject() -> tuple[int, int]:
        nonlocal count
        count += 1
        return os.getpid(), count

    return subject


def make_failure(status: int) -> Subject:
    return (lambda: os._exit(status)) if status else (lambda: 1 // 0)


def make_sleeper(seconds: int) -> Subject:
    """A subject that gives its process in its first call, and sleeps in others."""
    process = [os.getpid()]
    return lambda: process.pop() if process else time.sleep(seconds)


@pytest.mark.skipif(os.name != "posix", reason="signals go to processes on POSIX only")
def test_an_interrupt_does_not_wait_for_what_runs_apart() -> None:
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    # What a shell starts in the background ignores interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Apart(make_sleeper, 100) as subject:
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


def test_a_subject_is_made_once_in_a_process_of_its_own() -> None:
    with Apart(make_counter, 5) as subject:
        seen: list[Any] = [subject(), subject()]
    (first, one), (second, two) = seen
    assert first == second != os.getpid()
    assert (one, two) == (6, 7)


def test_memory_that_the_subject_fills_is_seen_and_this_process_is_not() -> None:
    held = np.ones(400_000_000, np.uint8)
    small, large = peak_memory(make_block, 1), peak_memory(make_block, 200)
    assert 190_000_000 < large - small < 230_000_000
    assert small < held.nbytes


def test_what_fails_there_is_raised_here() -> None:
    with Apart(make_failure, 0) as subject, pytest.raises(ZeroDivisionError):
        subject()


def test_a_process_that_is_ended_is_named_with_the_remedy() -> None:
    with Apart(make_failure, 3) as subject, pytest.raises(InferenceError, match="memory"):
        subject()
