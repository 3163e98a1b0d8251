"""One training step on Eq. 5 or Eq. 7, and code that the steps of all objectives share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from prosr.data.patches import Batch
from prosr.errors import ProSRError
from prosr.nets.laplacian import LaplacianPyramid
from prosr.training.losses import pixel_loss, pyramid_loss


class DivergedError(ProSRError):
    """Training cannot continue: a loss is not finite, or a discriminator has become useless."""


@dataclass(frozen=True)
class StepResult:
    """Numbers of one step: the loss, the gradient's norm before clipping, and others by name.

    The loss is Eq. 5 or Eq. 7 in 8-bit levels, or Eq. 4.
    """

    scale: int
    loss: float
    gradient_norm: float
    health: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Learner:
    """A network and its optimizer, wrapped by Fabric, and the bound of the gradient's norm."""

    fabric: Fabric
    net: nn.Module
    optimizer: Optimizer
    clip: float | None = None

    def descend(self, batch: Batch, loss: Tensor) -> StepResult:
        """Take one gradient step on `loss`, the gradient scaled down to a norm of `clip`.

        Raises `DivergedError` if the loss or gradient is not finite in any process, before
        the parameters change. The message names the step, the scale and the pictures.
        """
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        mean = all_mean(self.fabric, loss).item()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.clip or math.inf).item()
        if not math.isfinite(mean) or not math.isfinite(norm):
            sources: list[tuple[str, ...]] = [batch.sources] * self.fabric.world_size
            if self.fabric.world_size > 1:
                torch.distributed.all_gather_object(sources, batch.sources)
            raise DivergedError(
                f"step {batch.step + 1}, scale {batch.scale}: loss {mean:.3g} with gradient "
                f"norm {norm:.3g}; lower learning_rate or look at "
                f"{', '.join(name for some in sources for name in some)}"
            )
        self.optimizer.step()
        return StepResult(batch.scale, mean, norm)


def pixel_step(learner: Learner, batch: Batch, alpha: float, norm: int) -> StepResult:
    """Take a gradient step on Eq. 5, or on Eq. 7 for a Laplacian pyramid, with the recipe's `norm`.

    Fabric must have `estimates` of the pyramid marked as a method that computes a forward pass.

    Raises `DivergedError` before the network changes.
    """
    x, y = to_unit(learner.fabric, batch.x), to_unit(learner.fabric, batch.y)
    with restoring_buffers(learner.net):
        if isinstance(learner.net.module, LaplacianPyramid):
            pyramid = cast(LaplacianPyramid, learner.net)
            loss = pyramid_loss(pyramid.estimates(x, batch.scale, alpha), y, norm)
        else:
            loss = pixel_loss(learner.net(x, batch.scale, alpha), y, norm)
        result = learner.descend(batch, loss)
    return replace(result, loss=255 * result.loss)


@contextmanager
def restoring_buffers(net: nn.Module) -> Iterator[None]:
    """Restore the buffers of `net` if the block raises `DivergedError`.

    The forward pass updates the statistics of batch normalization before the loss is known.
    """
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    except DivergedError:
        for buffer, old in zip(net.buffers(), before, strict=True):
            buffer.copy_(old)
        raise


def all_mean(fabric: Fabric, values: Tensor) -> Tensor:
    """Mean of each value over all processes, without gradient."""
    return cast(Tensor, fabric.all_reduce(values.detach(), reduce_op="mean"))


def to_unit(fabric: Fabric, pixels: NDArray[np.uint8] | Tensor) -> Tensor:
    """Turn pixels, [N, H, W, 3], into floats on the run's device, [N, 3, H, W] in [0, 1].

    The memory format is channels last.
    """
    tensor = fabric.to_device(torch.as_tensor(pixels)).permute(0, 3, 1, 2)
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the averaged weights towards those of `net`: a ← decay·a + (1 − decay)·p.

    The statistics of batch normalization are averaged in the same way.
    """
    torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 1 - decay)
    for ours, theirs in zip(average.buffers(), net.buffers(), strict=True):
        # Batch normalization counts its batches.
        ours.copy_(ours.lerp(theirs, 1 - decay) if ours.is_floating_point() else theirs)
