"""Pictures as networks take them; needs PyTorch, from the extra `train`."""

from __future__ import annotations

import torch
from torch import Tensor

from prosr.data.benchmarks import Pixels


def to_tensor(pixels: Pixels) -> Tensor:
    """Turn a uint8 picture, [H, W, 3], into floats, [1, 3, H, W] in [0, 1]."""
    # The copy avoids PyTorch's warning about arrays that are not writable.
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
