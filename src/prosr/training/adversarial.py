"""One training step of a generator against its discriminator (3.3)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import EllipsisType

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from prosr.adversary import SMALLEST, Adversarial
from prosr.data.sampler import Batch
from prosr.errors import ProSRError
from prosr.layouts import SRGANDiscriminatorConfig
from prosr.nets.features import POOLS, feature_distance
from prosr.resample.tensors import upscale
from prosr.training.losses import (
    adversarial_loss,
    discriminator_loss,
    grid_loss,
    perceptual_loss,
    pixel_loss,
)
from prosr.training.objectives import (
    StepResult,
    all_mean,
    check_finite,
    clipped_norm,
    statistics_kept_unless_finite,
    to_unit,
)

MARGINS = (0.02, 0.98)
"""Between these a discriminator's D(r) − D(r̂) is of use: below, it cannot tell one from the
other (0), above, it is never in doubt (1), and neither teaches the generator anything."""


VIEWS = (0.66, 0.8, 1.0, 1.0, 1.25, 1.5)
"""Sizes, relative to its own, in which a feature net is shown a picture: in its own, as it is
judged, twice as often as in the others."""


class CollapsedError(ProSRError):
    """The discriminator has taught nothing for too long; the last saved state is as it was."""


@dataclass
class Adversary:
    """The discriminator with what belongs to it.

    `module` and `stepper` are `net` and `optimizer` as the run's processes and precision
    need them, once `set_up` has made them.
    """

    settings: Adversarial
    net: nn.Module
    optimizer: Adam
    features: nn.Module
    module: nn.Module
    stepper: Optimizer

    def set_up(self, fabric: Fabric) -> None:
        """Make the discriminator ready to learn in this process."""
        self.module, self.stepper = fabric.setup(self.net, self.optimizer)
        self.module.train()


def adversarial_step(
    fabric: Fabric,
    net: nn.Module,
    optimizer: Optimizer,
    adversary: Adversary,
    batch: Batch,
    alpha: float,
    grown: bool,
    clip: float | None,
) -> StepResult:
    """Let the discriminator learn Eq. 3 `turns` times, then the generator Eq. 4 once.

    Each turn takes an equal part of the batch, pictures i, i + turns, …, so that processes
    that share a batch do together what one would do. Judged are residuals, r̂ = ŷ − φ_s(x)
    and r = y − φ_s(x), or ŷ and y where the discriminator judges pictures. The level that a
    scale adds is blended in by `alpha`, in both networks or, where the generator is `grown`
    (trained at that scale before), in the discriminator alone. Raises `DivergedError` if a
    loss or gradient is not finite, before the network that it belongs to changes.
    """
    x, y = to_unit(fabric, batch.x), to_unit(fabric, batch.y)
    with statistics_kept_unless_finite(net):
        y_hat: Tensor = net(x, batch.scale, 1.0 if grown else alpha)
        phi = upscale(x, batch.scale)
        seen = _window(batch)
        y_hat, y, phi = y_hat[seen], y[seen], phi[seen]
        judges_pictures = isinstance(adversary.settings.net, SRGANDiscriminatorConfig)
        r_hat, r = (y_hat, y) if judges_pictures else (y_hat - phi, y - phi)
        turns = adversary.settings.turns
        told = [
            _turn(fabric, adversary, batch, r_hat.detach()[i::turns], r[i::turns], alpha)
            for i in range(turns)
        ]
        terms = _terms(fabric, adversary, batch, alpha, y_hat, y, r_hat)
        loss = torch.stack([*terms.values()]).sum()
        optimizer.zero_grad()
        fabric.backward(loss)
        means = all_mean(fabric, torch.stack([*terms.values()]))
        norm = clipped_norm(net, clip)
        health = {name: sum(turn[name] for turn in told) / len(told) for name in told[0]}
        health |= {
            f"share_{k}": (v / means.sum()).item() for k, v in zip(terms, means, strict=True)
        }
        drift = all_mean(fabric, 255 * (y_hat - y).mean(dim=(0, 2, 3)))
        health |= {f"drift_{c}": v.item() for c, v in zip("rgb", drift, strict=True)}
        result = StepResult(batch.scale, means.sum().item(), norm, health)
        check_finite(fabric, batch, result)
    optimizer.step()
    return result


def is_of_use(result: StepResult) -> bool:
    """Whether the discriminator of a step can tell, and not without any doubt."""
    low, high = MARGINS
    return low < result.health["d_real"] - result.health["d_fake"] < high


def _window(batch: Batch) -> tuple[slice | EllipsisType, ...]:
    """All of a patch but one pixel of x, beginning somewhere within the first.

    What judges halves the picture again and again, always at the same pixels. Seen from
    there alone, the generator's own grid would be no fault.
    """
    s, size = batch.scale, batch.scale * (batch.x.shape[-1] - 1)
    draw = random.Random(f"window {batch.step}")
    top, left = draw.randrange(s), draw.randrange(s)
    return ..., slice(top, top + size), slice(left, left + size)


def _view(y: Tensor, step: int) -> Tensor:
    """y, [N, 3, H, W], enlarged or reduced, its channels in some order, the same in a step."""
    draw = random.Random(f"view {step}")
    y = y[:, draw.sample(range(y.shape[1]), y.shape[1])]
    factor = draw.choice(VIEWS)
    size = [max(SMALLEST, round(factor * side)) for side in y.shape[2:]]
    return F.interpolate(y, size, mode="bilinear", align_corners=False, antialias=True)


def _turn(
    fabric: Fabric, adversary: Adversary, batch: Batch, r_hat: Tensor, r: Tensor, alpha: float
) -> dict[str, float]:
    """One step of the discriminator."""
    # One call for both, because processes exchange gradients of one call.
    scores = adversary.module(torch.cat((r_hat, r)), batch.scale, alpha)
    fake, real = scores.float().chunk(2)
    loss = discriminator_loss(fake, real)
    adversary.stepper.zero_grad()
    fabric.backward(loss)
    values = all_mean(fabric, torch.stack((loss, real.mean(), fake.mean()))).tolist()
    norm = clipped_norm(adversary.net, None)
    check_finite(fabric, batch, StepResult(batch.scale, values[0], norm))
    adversary.stepper.step()
    return {"d_loss": values[0], "d_real": values[1], "d_fake": values[2], "d_gradient": norm}


def _terms(
    fabric: Fabric,
    adversary: Adversary,
    batch: Batch,
    alpha: float,
    y_hat: Tensor,
    y: Tensor,
    r_hat: Tensor,
) -> dict[str, Tensor]:
    """The terms of Eq. 4, each with its weight; those of weight 0 are not computed."""
    settings, scale = adversary.settings, batch.scale
    terms = {}
    with fabric.autocast(), _frozen(adversary.net):
        if settings.gan:
            scores = adversary.net(r_hat, scale, alpha)
            terms["gan"] = settings.gan * adversarial_loss(scores.float())
        if any(settings.perceptual) or settings.distance:
            seen = (_view(one, batch.step) if settings.views else one for one in (y_hat, y))
            given, wanted = map(adversary.features, seen)
            for k, weight in zip(POOLS, settings.perceptual, strict=True):
                terms[f"pool{k}"] = weight * perceptual_loss(given[k].float(), wanted[k].float())
            if settings.distance:
                pairs = given.values(), wanted.values()
                distance = feature_distance(*pairs, settings.layers)
                terms["distance"] = settings.distance * distance
    if settings.pixel:
        terms["pixel"] = settings.pixel * pixel_loss(y_hat, y)
    if settings.grid:
        terms["grid"] = settings.grid * grid_loss(y_hat, y, scale)
    return terms


@contextmanager
def _frozen(net: nn.Module) -> Iterator[None]:
    """Compute no gradient for the parameters of `net`, only through it."""
    net.requires_grad_(False)
    try:
        yield
    finally:
        net.requires_grad_(True)
