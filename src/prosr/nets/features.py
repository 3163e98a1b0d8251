"""Networks that look at pictures: what a perceptual loss or distance compares.

Each takes RGB pictures in [0, 1], [N, 3, H, W], and normalizes them itself. The names of
its parameters are those of the file that it is read from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
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
        """Φ_k(x), the input of pooling k, for each k from 1 to 4."""
        mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        z, found = (x - mean) / std, []
        for part in self.features:
            if isinstance(part, nn.MaxPool2d):
                found.append(z)
            z = part(z)
        return dict(enumerate((*found, z), 1))


class DistilledVGG19(nn.Module):
    """VGG-19 distilled to 1/16 of its parameters' number, up to the first layer of its fifth stage.

    Wang et al., Collaborative distillation for ultra-resolution universal style transfer
    (CVPR 2020). Its features are divided by `RMS`, their root mean square over 240 patches of
    training pictures, so that the weights of Eq. 4 are between features of equal strength.
    """

    RMS = (13.7, 7.5, 3.9, 1.6)

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
        self.conv51 = nn.Conv2d(channels, channels, 3)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Φ_k(x), the input of pooling k, for k from 1 to 4; as 5 the layer behind the last."""
        z, found = self.conv0(x), {}
        for stage, names in enumerate(self.stages, 1):
            for name in names:
                z = self._layer(name, z)
            found[stage] = z / self.RMS[stage - 1]
            z = F.max_pool2d(z, 2)
        return {**found, 5: self._layer("conv51", z)}

    def _layer(self, name: str, z: Tensor) -> Tensor:
        # A single pixel has nothing to reflect.
        mode = "reflect" if min(z.shape[2:]) > 1 else "replicate"
        return F.relu(self.get_submodule(name)(F.pad(z, (1, 1, 1, 1), mode=mode)))


class Fire(nn.Module):
    """CONV(1,1) → ReLU → CONV(1,1) and CONV(3,3) side by side → ReLU."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        z = F.relu(self.squeeze1x1(z))
        return F.relu(torch.cat((self.expand1x1(z), self.expand3x3(z)), dim=1))


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 without its classifier, with Caffe's input: BGR from 0 less a mean."""

    SMALLEST = 31
    """Side of the smallest picture of which something is left behind the last pooling."""
    MEAN_BGR = (104.006, 116.669, 122.679)
    FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
    """Squeezed and expanded channels of fire2, fire3, …; pooling comes before 2, 4 and 6."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        channels = 64
        for number, (squeezed, expanded) in enumerate(self.FIRES, 2):
            self.add_module(f"fire{number}", Fire(channels, squeezed, expanded))
            channels = 2 * expanded

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the first convolution and fires 3, 5, 6, 7, 8 and 9 give."""
        z = F.relu(self.conv1(255 * x.flip(1) - x.new_tensor(self.MEAN_BGR).view(1, 3, 1, 1)))
        found = [z]
        for number in range(2, 10):
            if number in (2, 4, 6):
                z = F.max_pool2d(z, 3, stride=2)
            z = self.get_submodule(f"fire{number}")(z)
            if number not in (2, 4):
                found.append(z)
        return found


def feature_distance(
    features_hat: Iterable[Tensor],
    features: Iterable[Tensor],
    weights: Sequence[float] | None = None,
) -> Tensor:
    """How far two pictures are apart for a feature net, 0 for equal ones, at most 4.

    At each position each layer's features become a vector of length 1; the squared distance
    of these, a mean over positions, then over layers, by `weights` if there are any. LPIPS is
    the same with weights for channels that were learned from people's judgements; here there
    are none.
    """
    pairs = zip(features_hat, features, strict=True)
    units = [(F.normalize(a.float(), dim=1), F.normalize(b.float(), dim=1)) for a, b in pairs]
    distances = torch.stack([(a - b).square().sum(dim=1).mean() for a, b in units])
    if weights is None:
        return distances.mean()
    shares = distances.new_tensor(weights)
    return (shares * distances).sum() / shares.sum()
