"""The paper's losses, one function for each equation."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from prosr.resample import downscale


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
