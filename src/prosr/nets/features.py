"""Networks that look at pictures: what a perceptual loss or distance compares.

Each takes RGB pictures in [0, 1], [N, 3, H, W], and normalizes them itself. The names of
its parameters are those of the file that it is read from.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

POOLS = (2, 4)
"""The poolings whose inputs Eq. 4 compares."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGG16(nn.Module):
    """VGG16 up to its fourth pooling, named as torchvision does."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3))):
            if stage:
                parts.append(nn.MaxPool2d(2))
            for _ in range(count):
                parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Φ_k(x), the input of pooling k, for each k of Eq. 4."""
        mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        z, pool, found = (x - mean) / std, 0, {}
        for part in self.features:
            if isinstance(part, nn.MaxPool2d):
                pool += 1
                found[pool] = z
            z = part(z)
        found[pool + 1] = z
        return {k: found[k] for k in POOLS}


class DistilledVGG19(nn.Module):
    """VGG-19 distilled to 1/16 of its parameters' number, up to its fourth pooling.

    Wang et al., Collaborative distillation for ultra-resolution universal style transfer
    (CVPR 2020). Its features are divided by `RMS`, their root mean square over 240 patches of
    training pictures, so that the weights of Eq. 4 are between features of equal strength.
    """

    RMS = (7.5, 1.6)

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 3, 1)
        self.stages = []
        channels = 3
        for stage, (width, count) in enumerate(((16, 2), (32, 2), (64, 4), (128, 4)), 1):
            names = [f"conv{stage}{i}" for i in range(1, count + 1)]
            for name in names:
                self.add_module(name, nn.Conv2d(channels, width, 3))
                channels = width
            self.stages.append(names)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Φ_k(x), the input of pooling k, for each k of Eq. 4."""
        z, found = self.conv0(x), {}
        for stage, names in enumerate(self.stages, 1):
            for name in names:
                z = F.relu(self.get_submodule(name)(F.pad(z, (1, 1, 1, 1), mode="reflect")))
            found[stage] = z
            z = F.max_pool2d(z, 2)
        return {k: found[k] / rms for k, rms in zip(POOLS, self.RMS, strict=True)}
