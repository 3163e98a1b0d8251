"""One training step of a generator against its discriminator (3.3)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from statistics import fmean
from types import EllipsisType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from prosr.config import SMALLEST, Adversarial
from prosr.data.patches import Batch
from prosr.layouts import SRGANDiscriminatorConfig
from prosr.resample.tensors import upscale
from prosr.training.losses import discriminator_loss, generator_loss
from prosr.training.objectives import Learner, StepResult, all_mean, restoring_buffers, to_unit

MARGINS = (0.02, 0.98)
"""Range of D(r) − D(r̂) in which the discriminator is useful to the generator.

At 0 it cannot distinguish r and r̂, at 1 it separates them perfectly. Neither yields a useful
gradient."""

VIEWS = (0.66, 0.8, 1.0, 1.0, 1.25, 1.5)
"""Relative sizes of the feature network's input, drawn with equal probability."""


@dataclass(frozen=True)
class Adversary:
    """The discriminator, its optimizer and the feature network of the perceptual loss."""

    settings: Adversarial
    net: nn.Module
    optimizer: Adam
    features: nn.Module


def adversarial_step(
    generator: Learner,
    discriminator: Learner,
    adversary: Adversary,
    batch: Batch,
    alpha: float,
    pretrained: bool,
) -> StepResult:
    """Train the discriminator `turns` times on Eq. 3, then the generator once on Eq. 4.

    Turn i uses the pictures i, i + turns, … of the batch, so that several processes together equal
    one. With `every`, the discriminator only judges in the steps between. It judges residuals, or
    pictures if it is SRGAN's. `alpha` blends the new level in, in both networks; if the generator
    was `pretrained` at this scale, in the discriminator only. Raises `DivergedError` if a loss or
    gradient is not finite, before the network that it belongs to changes.
    """
    fabric, settings, s = generator.fabric, adversary.settings, batch.scale
    x, y = to_unit(fabric, batch.x), to_unit(fabric, batch.y)
    with restoring_buffers(generator.net):
        y_hat: Tensor = generator.net(x, s, 1.0 if pretrained else alpha)
        window = _window(batch)
        y_hat, y, phi = y_hat[window], y[window], upscale(x, s)[window]
        judges_pictures = isinstance(settings.net, SRGANDiscriminatorConfig)
        r_hat, r = (y_hat, y) if judges_pictures else (y_hat - phi, y - phi)
        turns = [
            (r_hat.detach()[i :: settings.turns], r[i :: settings.turns])
            for i in range(settings.turns)
        ]
        learns = batch.step % settings.every == 0
        scores = [_discriminator_step(discriminator, batch, *turn, alpha, learns) for turn in turns]
        # Gradients of L_R pass through the discriminator, but not into its parameters.
        adversary.net.requires_grad_(False)
        with fabric.autocast():
            seen_hat, seen = (_view(z, batch.step) if settings.views else z for z in (y_hat, y))
            loss, terms = generator_loss(
                settings,
                lambda residual: adversary.net(residual, s, alpha),
                (adversary.features(seen_hat), adversary.features(seen)),
                r_hat,
                y_hat,
                y,
                s,
            )
        adversary.net.requires_grad_(True)
        means = all_mean(fabric, torch.stack([*terms.values()]))
        drift = all_mean(fabric, 255 * (y_hat - y).mean(dim=(0, 2, 3)))
        health = {name: fmean(turn[name] for turn in scores) for name in scores[0]}
        shares = (means / means.sum()).tolist()
        health |= {f"share_{name}": v for name, v in zip(terms, shares, strict=True)}
        health |= {f"drift_{c}": v for c, v in zip("rgb", drift.tolist(), strict=True)}
        return replace(generator.descend(batch, loss), health=health)


def is_useful(result: StepResult) -> bool:
    """Whether D(r) − D(r̂) of a step is within `MARGINS`."""
    low, high = MARGINS
    return low < result.health["d_real"] - result.health["d_fake"] < high


def _discriminator_step(
    discriminator: Learner, batch: Batch, r_hat: Tensor, r: Tensor, alpha: float, learns: bool
) -> dict[str, float]:
    """Judge r̂ and r by Eq. 3, take one step of the discriminator if it `learns`.

    Returns its numbers, the norm of its gradient only for a step.
    """
    with torch.set_grad_enabled(learns):
        # One call for both: processes exchange the gradients of one call.
        scores = discriminator.net(torch.cat((r_hat, r)), batch.scale, alpha)
        d_r_hat, d_r = scores.float().chunk(2)
        loss = discriminator_loss(d_r_hat, d_r)
    numbers = {"d_gradient": discriminator.descend(batch, loss).gradient_norm} if learns else {}
    means = all_mean(discriminator.fabric, torch.stack((loss, d_r.mean(), d_r_hat.mean()))).tolist()
    return numbers | dict(zip(("d_loss", "d_real", "d_fake"), means, strict=True))


def _view(y: Tensor, step: int) -> Tensor:
    """Resize y, [N, 3, H, W], and permute its channels, in the same way within a step."""
    draw = random.Random(f"view {step}")
    y = y[:, draw.sample(range(y.shape[1]), y.shape[1])]
    factor = draw.choice(VIEWS)
    size = [max(SMALLEST, round(factor * side)) for side in y.shape[2:]]
    return F.interpolate(y, size, mode="bilinear", align_corners=False, antialias=True)


def _window(batch: Batch) -> tuple[slice | EllipsisType, ...]:
    """A random crop of y that is one pixel of x smaller, the same for the whole batch.

    Discriminator and feature network downsample at fixed pixels. Without the random offset they
    could not detect a grid in the generator's output.
    """
    s, size = batch.scale, batch.scale * (batch.x.shape[1] - 1)
    draw = random.Random(f"window {batch.step}")
    top, left = draw.randrange(s), draw.randrange(s)
    return ..., slice(top, top + size), slice(left, left + size)
