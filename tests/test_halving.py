"""A device that runs out of memory costs time, never a wrong pixel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prosr.errors import InferenceError
from prosr.inference.oom import Halving


class Small:
    """An engine whose device holds `room` pixels; each output pixel depends on 3×3 inputs."""

    name, precision = "small", "fp32"

    def __init__(self, room: int, error: Callable[[], Exception]) -> None:
        self.room, self.error = room, error
        self.areas: list[int] = []

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        self.areas.append(x.shape[2] * x.shape[3])
        if self.areas[-1] > self.room:
            raise self.error()
        blurred = F.avg_pool2d(x, 3, 1, 1)
        return blurred.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    def radius(self, scale: int) -> int:
        return 1

    def pixels(self, scale: int) -> int:
        return 10**9


ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError,
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    lambda: RuntimeError("MPS backend out of memory"),
    lambda: RuntimeError("std::bad_alloc"),
    lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to get 8 bytes"),
    lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    lambda: RuntimeError("[CPU] Could not allocate 8 bytes"),
]


@pytest.mark.parametrize("error", ERRORS)
def test_smaller_tiles_give_the_same_picture(
    error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.rand(1, 3, 40, 31)
    y = Halving(Small(300, error))(x, 2)
    assert torch.equal(y, Small(10**9, error)(x, 2))
    assert "out of memory: going on in tiles of half the size" in caplog.text


def test_what_was_too_much_once_is_not_tried_again() -> None:
    engine = Small(300, MemoryError)
    halving = Halving(engine)
    halving(torch.rand(1, 3, 40, 31), 2)
    engine.areas.clear()
    halving(torch.rand(1, 3, 40, 31), 2)
    assert max(engine.areas) <= 300


def test_an_engine_with_memory_is_called_once() -> None:
    engine = Small(10**9, MemoryError)
    Halving(engine)(torch.rand(1, 3, 40, 31), 2)
    assert engine.areas == [40 * 31]


def test_no_memory_at_all_is_an_error_with_what_helps() -> None:
    with pytest.raises(InferenceError, match=r"out of memory even in tiles of .* smaller model"):
        Halving(Small(4, MemoryError))(torch.rand(1, 3, 40, 31), 2)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("bad")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        Halving(Small(300, lambda: error))(torch.rand(1, 3, 40, 31), 2)
