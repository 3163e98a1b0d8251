"""One training step for each objective."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from prosr.data.sampler import Batch
from prosr.errors import ProSRError
from prosr.nets.laplacian import LaplacianPyramid
from prosr.training.losses import pixel_loss, pyramid_loss


class DivergedError(ProSRError):
    """A loss or gradient stopped being finite; the parameters are still those before it."""


@dataclass(frozen=True)
class StepResult:
    """Loss, the gradient's norm before clipping, and what else an objective has to tell.

    Eq. 5's and Eq. 7's loss is in 8-bit levels.
    """

    scale: int
    loss: float
    gradient_norm: float
    health: Mapping[str, float] = field(default_factory=dict)


class Estimates(nn.Module):
    """A pyramid whose call gives every estimate, as deep supervision needs them (4.2).

    A module of its own, because precision and other processes are reached by a call alone.
    """

    def __init__(self, pyramid: LaplacianPyramid) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, x: Tensor, scale: int, alpha: float) -> tuple[Tensor, ...]:
        return self.pyramid.estimates(x, scale, alpha)


def supervised(net: nn.Module) -> nn.Module:
    """What of `net` is trained: its estimate, or all of them where each is supervised."""
    return Estimates(net) if isinstance(net, LaplacianPyramid) else net


def pixel_step(
    fabric: Fabric,
    net: nn.Module,
    optimizer: Optimizer,
    batch: Batch,
    alpha: float,
    clip: float | None,
) -> StepResult:
    """Take one gradient step for a batch of one scale: on Eq. 5 or, for `Estimates`, Eq. 7.

    Raises `DivergedError`, before anything changes, if the loss or gradient is not finite.
    """
    x, y = to_unit(fabric, batch.x), to_unit(fabric, batch.y)
    with statistics_kept_unless_finite(net):
        given: Tensor | tuple[Tensor, ...] = net(x, batch.scale, alpha)
        loss = pixel_loss(given, y) if isinstance(given, Tensor) else pyramid_loss(given, y)
        optimizer.zero_grad()
        fabric.backward(loss)
        result = StepResult(batch.scale, 255 * mean_of(fabric, loss), clipped_norm(net, clip))
        check_finite(fabric, batch, result)
    optimizer.step()
    return result


@contextmanager
def statistics_kept_unless_finite(net: nn.Module) -> Iterator[None]:
    """Put the buffers of `net` back if the block finds that it diverges.

    Batch normalization takes a batch into its statistics before any loss is known.
    """
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    except DivergedError:
        for buffer, old in zip(net.buffers(), before, strict=True):
            buffer.copy_(old)
        raise


def clipped_norm(net: nn.Module, clip: float | None) -> float:
    """Norm of the gradient, which is then scaled down to at most `clip`."""
    return nn.utils.clip_grad_norm_(net.parameters(), clip or math.inf).item()


def check_finite(fabric: Fabric, batch: Batch, result: StepResult) -> None:
    """Raise `DivergedError` naming step, scale and pictures unless the numbers are finite.

    The pictures are those of all processes, in each of which the numbers are the same.
    """
    if math.isfinite(result.loss) and math.isfinite(result.gradient_norm):
        return
    sources: list[tuple[str, ...]] = [batch.sources] * fabric.world_size
    if fabric.world_size > 1:
        torch.distributed.all_gather_object(sources, batch.sources)
    raise DivergedError(
        f"step {batch.step + 1}, scale {batch.scale}: loss {result.loss:.3g} with gradient norm "
        f"{result.gradient_norm:.3g}; lower learning_rate or look at "
        f"{', '.join(name for some in sources for name in some)}"
    )


def mean_of(fabric: Fabric, value: Tensor) -> float:
    """Mean of a loss or score over all processes, the same number in each."""
    return all_mean(fabric, value).item()


def all_mean(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean of each value over all processes."""
    if fabric.world_size > 1:
        return cast(Tensor, fabric.all_reduce(values.detach(), reduce_op="mean"))
    return values.detach()


def to_unit(fabric: Fabric, pixels: Tensor) -> Tensor:
    """Turn uint8 pixels into floats in [0, 1] on the run's device, channels last."""
    floats = fabric.to_device(pixels).float().div_(255)
    return floats.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move `average`'s parameters towards `net`'s: a ← decay·a + (1 − decay)·p.

    The statistics of batch normalization go with them, so that they fit each other.
    """
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
    for ours, theirs in zip(average.buffers(), net.buffers(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - decay)
        else:
            ours.copy_(theirs)
