"""Whether a network in 8-bit integers is worth its loss on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from prosr.data.benchmarks import Benchmark, Pair
from prosr.data.tensors import to_tensor
from prosr.errors import ConfigError
from prosr.evaluation.metrics import psnr
from prosr.evaluation.protocol import DATA_RANGE, find_protocol
from prosr.inference.engines.openvino import OpenVinoRunner
from prosr.inference.engines.planned import PlannedEngine, Staged, residual_part
from prosr.inference.quantizing import quantize
from prosr.layouts import check_scale

LOSS = 0.03
"""Most dB against the truth that 8 bits may lose."""

_PICTURES = 48
"""Pictures that are used: every other to calibrate, the rest to judge by."""

_SIDE = 64
"""Largest side of what is cut from the middle of each x."""

_TIMED = 160
_ROUNDS = 5


@dataclass(frozen=True)
class Verdict:
    """8 bits against the engine's own precision: times as fast, dB lost, and whether kept."""

    speed: float
    loss: float
    kept: bool


def try_int8(
    net: nn.Module,
    scale: int,
    benchmarks: Sequence[Benchmark],
    max_memory: int,
    progress: Callable[[str], None],
) -> Verdict:
    """Quantize R_s for OpenVINO and keep it in the user's cache if that pays.

    It pays if it is faster than before and loses at most `LOSS` on the luminance of
    pictures that it was not calibrated on. Then the engine takes it from now on. Raises
    `ConfigError` for a network whose R_s cannot be told from φ_s, or too few pictures.
    """
    if not isinstance(net, Staged):
        raise ConfigError(
            "a network without a residual of its own cannot be quantized; leave it as it is"
        )
    everything = chain.from_iterable(one.pairs(check_scale(scale)) for one in benchmarks)
    pairs = [_middle(pair, scale) for pair, _ in zip(everything, range(_PICTURES), strict=False)]
    if len(pairs) < 8:
        raise ConfigError(f"{len(pairs)} pictures are too few to quantize with; give 8 or more")
    native = PlannedEngine(net, max_memory, OpenVinoRunner("native"))
    progress("tracing")
    native(torch.rand(1, 3, 8, 8), scale)
    runner = OpenVinoRunner()
    place = runner.int8_graph(net, scale)
    with TemporaryDirectory(dir=place.parent, prefix=".int8-") as folder:
        trial = Path(folder) / "trial.xml"
        progress("calibrating")
        quantize(runner.traced(net, scale), [to_tensor(x) for x, _ in pairs[::2]], trial)
        progress("judging")
        int8 = PlannedEngine(net, max_memory, OpenVinoRunner(trials={residual_part(scale): trial}))
        loss = _score(native, scale, pairs[1::2]) - _score(int8, scale, pairs[1::2])
        speed = _seconds(native, scale) / _seconds(int8, scale)
        # Let go of, or Windows would not move it.
        del int8
        kept = speed > 1 and loss <= LOSS
        # Without its description nobody reads the values, whosever they are.
        place.unlink(missing_ok=True)
        if kept:
            for suffix in (".bin", ".xml"):
                trial.with_suffix(suffix).replace(place.with_suffix(suffix))
        else:
            place.with_suffix(".bin").unlink(missing_ok=True)
    return Verdict(speed, loss, kept)


def _middle(pair: Pair, scale: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = (min(_SIDE, length) for length in pair.x.shape[:2])
    top, left = (pair.x.shape[0] - height) // 2, (pair.x.shape[1] - width) // 2
    x = pair.x[top : top + height, left : left + width]
    y = pair.y[scale * top : scale * (top + height), scale * left : scale * (left + width)]
    return x, y


def _score(
    engine: PlannedEngine, scale: int, pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
) -> float:
    protocol, scores = find_protocol("paper"), []
    for x, y in pairs:
        y_hat = engine(to_tensor(x), scale)[0].permute(1, 2, 0).clamp(0, 1).mul(255).round()
        a, b = (protocol.prepare(p, scale) for p in (y_hat.to(torch.uint8).numpy(), y))
        scores.append(min(psnr(a, b, data_range=DATA_RANGE), 100.0))
    return fmean(scores)


def _seconds(engine: PlannedEngine, scale: int) -> float:
    """Of processor time, which other programs do not lengthen."""
    x, best = torch.rand(1, 3, _TIMED, _TIMED), math.inf
    for _ in range(_ROUNDS):
        start = time.process_time()
        engine(x, scale)
        best = min(best, time.process_time() - start)
    return best
