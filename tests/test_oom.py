"""A device that runs out of memory costs time, never a wrong pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

from prosr.errors import InferenceError
from prosr.inference.engine import Engine, MemoryModel, ScaleCost
from prosr.inference.oom import RetryingEngine
from prosr.inference.tiling import Block

X = np.random.default_rng(0).random((1, 3, 40, 31), np.float32)


class Small(Engine):
    """An engine whose device holds `room` pixels; each output pixel depends on 3×3 inputs."""

    name, precision = "small", "fp32"

    def __init__(self, room: int, error: Callable[[], Exception]) -> None:
        super().__init__([2], lambda scale: ScaleCost(1, 1), 0, 10**9, MemoryModel(0, 0, 1, 0))
        self.room, self.error = room, error
        self.areas: list[int] = []

    def run(self, x: Block, scale: int) -> Block:
        height, width = x.shape[2:]
        self.areas.append(height * width)
        if self.areas[-1] > self.room:
            raise self.error()
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        shifts = [(row, column) for row in range(3) for column in range(3)]
        blurred = sum(padded[:, :, r : r + height, c : c + width] for r, c in shifts)
        return np.repeat(np.repeat(blurred, scale, 2), scale, 3)


ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError,
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    lambda: RuntimeError("MPS backend out of memory"),
    lambda: RuntimeError("std::bad_alloc"),
    lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to get 8 bytes"),
    lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    lambda: RuntimeError("[CPU] Could not allocate 8 bytes"),
    lambda: RuntimeException("Failed to allocate memory for requested buffer of size 8"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_smaller_tiles_give_the_same_picture(
    error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    y = RetryingEngine(Small(300, error))(X, 2)
    assert np.array_equal(y, Small(10**9, error)(X, 2))
    assert "out of memory: continuing in tiles of half the size" in caplog.text


def test_a_size_that_was_too_large_is_not_tried_again() -> None:
    engine = Small(300, MemoryError)
    retrying = RetryingEngine(engine)
    retrying(X, 2)
    engine.areas.clear()
    retrying(X, 2)
    assert max(engine.areas) <= 300


def test_an_engine_with_enough_memory_is_called_once() -> None:
    engine = Small(10**9, MemoryError)
    RetryingEngine(engine)(X, 2)
    assert engine.areas == [40 * 31]


def test_no_memory_at_all_is_an_error_with_the_remedy() -> None:
    with pytest.raises(InferenceError, match=r"out of memory even in tiles of .* smaller model"):
        RetryingEngine(Small(4, MemoryError))(X, 2)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("bad")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        RetryingEngine(Small(300, lambda: error))(X, 2)
