"""Scores of the averaged weights during training, and sheets of sample pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prosr.checkpoints.weights import weights_hash
from prosr.data.benchmarks import Benchmark
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.scoring import score
from prosr.images import to_unit
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.memory import default_memory
from prosr.inference.upscaler import Upscaler
from prosr.resample import upscale
from prosr.scales import Scale
from prosr.training.run import Run

PROTOCOL = find_protocol("paper")

SAMPLES = 4
"""Pictures on a sheet."""

SIDE = 192
"""Side of a sample in pixels of y, a multiple of every scale."""


def validate(run: Run, benchmark: Benchmark, scales: tuple[Scale, ...]) -> dict[Scale, float]:
    """Mean PSNR of the averaged weights in dB at each of `scales`."""
    digest = weights_hash(run.average.state_dict())
    engine = TorchEngine(run.average, default_memory())
    upscaler = Upscaler(engine, run.recipe.model, digest)
    return {s: score(upscaler, benchmark, s, PROTOCOL, psnr_only=True).psnr for s in scales}


def draw_samples(run: Run, benchmark: Benchmark, scale: Scale) -> NDArray[np.float32]:
    """A sheet of centre crops of the first pictures, one a row: [H, W, 3] in [0, 1].

    Its columns are the low-resolution input, bicubic, the weights that the run started from
    (if any), the averaged weights, and the ground truth.
    """
    nets = [run.average] if run.first is None else [run.first.net, run.average]
    engines = [TorchEngine(net, default_memory()) for net in nets]
    pairs = list(benchmark.first(SAMPLES).pairs(scale))
    side = min(SIDE // scale, *(length for pair in pairs for length in pair.x.shape[:2]))
    rows = []
    for pair in pairs:
        top, left = ((length - side) // 2 for length in pair.x.shape[:2])
        x = to_unit(pair.x[top:, left:][:side, :side]).transpose(2, 0, 1)[None]
        y = to_unit(pair.y[scale * top :, scale * left :][: scale * side, : scale * side])
        columns = [x.repeat(scale, 2).repeat(scale, 3), upscale(x, scale)]
        columns += [*(engine.run(x, scale) for engine in engines), y.transpose(2, 0, 1)[None]]
        rows.append(np.concatenate(columns, axis=3))
    sheet: NDArray[np.float32] = np.concatenate(rows, axis=2)[0].transpose(1, 2, 0).clip(0, 1)
    return sheet
