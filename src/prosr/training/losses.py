"""The losses of the paper: Eq. 3, 4, 5 and 7, each one function, and the terms of Eq. 4.

x is the low-resolution input, y the ground truth and ŷ the network's estimate of it, both
[N, 3, sH, sW] in [0, 1]. D judges the residuals r = y − φ_s(x) and r̂ = ŷ − φ_s(x). Norms are
divided by the number of values, so that weights do not depend on the size of patches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr.config import Adversarial
from prosr.nets.features import feature_distance
from prosr.resample.tensors import downscale
from prosr.scales import SCALES


def discriminator_loss(d_r_hat: Tensor, d_r: Tensor) -> Tensor:
    """Eq. 3: L_D = (D(r̂))² + (D(r) − 1)², each a mean over all scores of the batch."""
    return d_r_hat.square().mean() + (d_r - 1).square().mean()


def generator_loss(
    w: Adversarial,
    d: Callable[[Tensor], Tensor],
    features: tuple[Mapping[int, Tensor], Mapping[int, Tensor]],
    r_hat: Tensor,
    y_hat: Tensor,
    y: Tensor,
    scale: int,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 4: L_R = (D(r̂) − 1)² + Σ_k ‖Φ_k(ŷ) − Φ_k(y)‖₂, each term times its weight.

    `features` are Φ(ŷ) and Φ(y), [N, C, H, W] for each k. The last three terms are not the
    paper's and have weight 0 by default. Terms of weight 0 are not computed. Returns L_R and
    its terms by name.
    """
    phi_hat, phi = features
    losses: dict[str, tuple[float, Callable[[], Tensor]]] = {
        "gan": (w.gan[SCALES.index(scale)], lambda: adversarial_loss(d(r_hat))),
        "pool2": (w.perceptual[0], lambda: perceptual_loss(phi_hat[2], phi[2], w.squared)),
        "pool4": (w.perceptual[1], lambda: perceptual_loss(phi_hat[4], phi[4], w.squared)),
        "distance": (
            w.distance,
            lambda: feature_distance(phi_hat.values(), phi.values(), w.layers),
        ),
        "pixel": (w.pixel, lambda: pixel_loss(y_hat, y)),
        "grid": (w.grid, lambda: grid_loss(y_hat, y, scale)),
    }
    terms = {name: weight * loss() for name, (weight, loss) in losses.items() if weight}
    return torch.stack([*terms.values()]).sum(), terms


def pixel_loss(y_hat: Tensor, y: Tensor, norm: int = 1) -> Tensor:
    """Eq. 5: L = ‖R_s(x) + φ_s(x) − y‖₁, as the mean over pixels and channels.

    Eq. 6 sums it over the open scales: each training step adds the term of one scale. With `norm`
    2, which is not the paper's, L is the root mean square of each picture, a mean over the batch.
    """
    return F.l1_loss(y_hat, y) if norm == 1 else _root_mean_square((y_hat - y).flatten(1))


def pyramid_loss(y_hats: Sequence[Tensor], y: Tensor, norm: int = 1) -> Tensor:
    """Eq. 7: L = Σ_{s'<s} ‖ŷ_{s'} − ψ_{s'}(y)‖₁ + ‖ŷ_s − y‖₁, each norm a mean as in Eq. 5.

    `y_hats` are the estimates for 2, 4, … up to s. Each is twice as large as the one before,
    and the last as large as y. ψ_{s'} reduces y to the size of ŷ_{s'}.
    """
    *lower, y_hat = y_hats
    loss = pixel_loss(y_hat, y, norm)
    for y_hat in lower:
        loss = loss + pixel_loss(y_hat, downscale(y, y.shape[-1] // y_hat.shape[-1]), norm)
    return loss


def adversarial_loss(d_r_hat: Tensor) -> Tensor:
    """The first term of Eq. 4: (D(r̂) − 1)², a mean over all scores of the batch."""
    return (d_r_hat.float() - 1).square().mean()


def perceptual_loss(phi_hat: Tensor, phi: Tensor, squared: bool = False) -> Tensor:
    """The second term of Eq. 4 for one k: ‖Φ_k(ŷ) − Φ_k(y)‖₂, a mean over the batch.

    Both are [N, C, H, W]. The norm of each picture is divided by √(CHW), which makes it a
    root mean square. It is not squared, as in the paper; `squared` does so.
    """
    if squared:
        return F.mse_loss(phi_hat.float(), phi.float())
    return _root_mean_square((phi_hat.float() - phi.float()).flatten(1))


def grid_loss(y_hat: Tensor, y: Tensor, scale: int) -> Tensor:
    """Strength of the pattern in ŷ − y that repeats with each pixel of x; not in the paper.

    Sub-pixel upsamplers draw such grids, and the perceptual term rewards them. For each of
    the s × s positions within a pixel of x, ŷ − y is averaged over H and W; the loss is the
    root mean square of these averages, a mean over the batch.
    """
    n, c, height, width = y.shape
    positions = (y_hat - y).reshape(n, c, height // scale, scale, width // scale, scale)
    return _root_mean_square(positions.mean(dim=(2, 4)).flatten(1))


def _root_mean_square(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms.mean() / math.sqrt(rows.shape[1])
