"""Sheets of samples, to see with one's own eyes what a generator invents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from prosr.data.benchmarks import Benchmark, to_tensor
from prosr.resample.tensors import upscale
from prosr.scales import Scale
from prosr.training.loop import Draw
from prosr.training.run import Run

SAMPLES = 4
"""Pictures on a sheet."""

SIDE = 192
"""Side of a sample in pixels of y, a multiple of every scale."""


def sheet_drawer(benchmark: Benchmark) -> Draw:
    """What draws the middles of the first pictures of a set, one a row.

    The columns: the input, bicubic, what the run started from (if it is known), what it
    gives now, and the truth; at the largest scale that is open.
    """

    def draw(run: Run, scales: tuple[Scale, ...]) -> NDArray[np.float32]:
        scale = scales[-1]
        nets = [run.average] if run.first is None else [run.first.net, run.average]
        pairs = list(benchmark.first(SAMPLES).pairs(scale))
        side = min(SIDE // scale, *(length for pair in pairs for length in pair.x.shape[:2]))
        rows = []
        for pair in pairs:
            top, left = ((length - side) // 2 for length in pair.x.shape[:2])
            x = to_tensor(pair.x[top:, left:][:side, :side])
            y = to_tensor(pair.y[scale * top :, scale * left :][: scale * side, : scale * side])
            rows.append(torch.cat(_row(x, y, scale, nets), dim=3))
        return torch.cat(rows, dim=2)[0].permute(1, 2, 0).numpy()

    return draw


def _row(x: Tensor, y: Tensor, scale: Scale, nets: Sequence[nn.Module]) -> list[Tensor]:
    with torch.inference_mode():
        given = [_enlarged(net, x, scale) for net in nets]
    squares = F.interpolate(x, scale_factor=float(scale), mode="nearest")
    return [squares, upscale(x, scale).clamp(0, 1), *given, y]


def _enlarged(net: nn.Module, x: Tensor, scale: Scale) -> Tensor:
    """What a network gives, wherever it is, brought to where x is."""
    device = next(net.parameters()).device
    return cast(Tensor, net(x.to(device), scale)).clamp(0, 1).to(x.device)
