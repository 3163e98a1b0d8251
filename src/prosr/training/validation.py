"""Scores of the averaged weights during training, and sheets of sample pictures."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from prosr.checkpoints.weights import weights_hash
from prosr.data.benchmarks import Benchmark
from prosr.data.tensors import to_tensor
from prosr.evaluation.protocol import Protocol
from prosr.evaluation.scoring import score
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.memory import default_memory
from prosr.inference.upscaler import Upscaler
from prosr.resample.tensors import upscale
from prosr.scales import Scale
from prosr.training.run import Run

SAMPLES = 4
"""Pictures on a sheet."""

SIDE = 192
"""Side of a sample in pixels of y, a multiple of every scale."""


def validate(
    run: Run, benchmark: Benchmark, protocol: Protocol, scales: tuple[Scale, ...]
) -> dict[Scale, float]:
    """Mean PSNR of the averaged weights in dB at each of `scales`."""
    digest = weights_hash(run.average.state_dict())
    engine = TorchEngine(run.average, default_memory())
    upscaler = Upscaler(engine, run.recipe.model, digest)
    return {s: score(upscaler, benchmark, s, protocol, psnr_only=True).psnr for s in scales}


def draw_samples(run: Run, benchmark: Benchmark, scale: Scale) -> NDArray[np.float32]:
    """A sheet of centre crops of the first pictures, one a row: [H, W, 3] in [0, 1].

    Its columns are the low-resolution input, bicubic, the weights that the run started from
    (if any), the averaged weights, and the ground truth.
    """
    nets = [run.average] if run.first is None else [run.first.net, run.average]
    pairs = list(benchmark.first(SAMPLES).pairs(scale))
    side = min(SIDE // scale, *(length for pair in pairs for length in pair.x.shape[:2]))
    rows = []
    for pair in pairs:
        top, left = ((length - side) // 2 for length in pair.x.shape[:2])
        x = to_tensor(pair.x[top:, left:][:side, :side])
        y = to_tensor(pair.y[scale * top :, scale * left :][: scale * side, : scale * side])
        enlarged = F.interpolate(x, scale_factor=float(scale), mode="nearest")
        columns = [enlarged, upscale(x, scale).clamp(0, 1)]
        columns += [*(_estimate(net, x, scale) for net in nets), y]
        rows.append(torch.cat(columns, dim=3))
    return torch.cat(rows, dim=2)[0].permute(1, 2, 0).numpy()


@torch.inference_mode()
def _estimate(net: nn.Module, x: Tensor, scale: Scale) -> Tensor:
    """ŷ, computed on the device of the network and returned on that of x."""
    device = next(net.parameters()).device
    return cast(Tensor, net(x.to(device), scale)).clamp(0, 1).to(x.device)
