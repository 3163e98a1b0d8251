"""The paper's losses, one function for each equation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from prosr.resample.tensors import downscale


def pixel_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    """Eq. 5: ‖R_s(x) + φ_s(x) − y‖₁, as the mean over pixels and channels.

    Both are [N, 3, sH, sW] in [0, 1]. Eq. 6, the sum over open scales, is what the steps
    of a run add up to, each with one of the scales.
    """
    return F.l1_loss(y_hat, y)


def pyramid_loss(estimates: Sequence[Tensor], y: Tensor) -> Tensor:
    """Eq. 7: Σ_{s'<s} ‖ŷ_{s'} − ψ_{s'}(y)‖₁ + ‖ŷ_s − y‖₁, each norm a mean as in Eq. 5.

    y is [N, 3, H, W] in [0, 1]. `estimates` are for 2, 4, … up to s, each twice as large
    as the one before, the last as large as y; ψ_{s'}(y) is y reduced to the size of ŷ_{s'}.
    """
    *lower, y_hat = estimates
    loss = pixel_loss(y_hat, y)
    for estimate in lower:
        loss = loss + pixel_loss(estimate, downscale(y, y.shape[-1] // estimate.shape[-1]))
    return loss


def grid_loss(y_hat: Tensor, y: Tensor, scale: int) -> Tensor:
    """How strong a pattern of ŷ − y repeats with each pixel of x, as a mean of the batch.

    Both are [N, 3, sH, sW]. ŷ − y is averaged over H and W for each of the s × s places within
    a pixel of x; the root mean square of these is what y can have only by chance. Not in the
    paper: a sub-pixel upsampler draws such a grid, and features rather gain by it.
    """
    n, c, height, width = y.shape
    places = (y_hat - y).reshape(n, c, height // scale, scale, width // scale, scale)
    pattern = places.mean(dim=(2, 4)).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(pattern, dim=1)
    return norms.mean() / math.sqrt(pattern.shape[1])


def discriminator_loss(score_fake: Tensor, score_real: Tensor) -> Tensor:
    """Eq. 3: (D(r̂))² + (D(r) − 1)², each a mean over the batch and its patches' scores."""
    return score_fake.square().mean() + (score_real - 1).square().mean()


def adversarial_loss(score_fake: Tensor) -> Tensor:
    """The first term of L_R (Eq. 4): (D(r̂) − 1)², a mean over the batch and its scores."""
    return (score_fake - 1).square().mean()


def perceptual_loss(features_hat: Tensor, features: Tensor) -> Tensor:
    """One k of L_R (Eq. 4): ‖Φ_k(ŷ) − Φ_k(y)‖₂ for each picture, then the mean of the batch.

    Both are [N, C, H, W]. The norm is divided by that of ones, √(CHW): a root of the mean
    square, which does not depend on the size of patches. It is not squared, as printed.
    """
    difference = (features_hat - features).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(difference, dim=1)
    return norms.mean() / math.sqrt(difference.shape[1])
