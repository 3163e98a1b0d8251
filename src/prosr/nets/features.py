"""Feature networks for perceptual losses and distances.

Each takes RGB pictures, [N, 3, H, W] in [0, 1], and normalizes them itself. Parameters have the
same names as in the released files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGG16(nn.Module):
    """VGG16 up to its fourth pooling layer, with torchvision's names.

    Pooling averages, as in the authors' training, instead of taking the maximum.
    """

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3))):
            if stage:
                parts.append(nn.AvgPool2d(2))
            for _ in range(count):
                parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Φ_k(x), the input of pooling layer k, for each k from 1 to 4."""
        mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in (_IMAGENET_MEAN, _IMAGENET_STD))
        z, found = (x - mean) / std, []
        for part in self.features:
            if isinstance(part, nn.AvgPool2d):
                found.append(z)
            z = part(z)
        return dict(enumerate((*found, z), 1))


class DistilledVGG19(nn.Module):
    """VGG-19 distilled to 1/16 of its parameters, up to the first layer of its fifth stage.

    Wang et al., Collaborative distillation for ultra-resolution universal style transfer
    (CVPR 2020). Features are divided by `RMS`, so that the weights of Eq. 4 apply to features
    of equal strength.
    """

    RMS = (13.7, 7.5, 3.9, 1.6)
    """Root mean square of each stage's features over 240 patches of training pictures."""

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
        """Φ_k(x), the input of pooling layer k, for k from 1 to 4; Φ_5 is the layer after it."""
        z, found = self.conv0(x), {}
        for stage, names in enumerate(self.stages, 1):
            for name in names:
                z = self._layer(name, z)
            found[stage] = z / self.RMS[stage - 1]
            z = F.max_pool2d(z, 2)
        return {**found, 5: self._layer("conv51", z)}

    def _layer(self, name: str, z: Tensor) -> Tensor:
        # A single pixel cannot be reflected.
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
    """SqueezeNet 1.1 without its classifier; as in Caffe, its input is BGR minus a mean."""

    SMALLEST = 31
    """Side in pixels of the smallest picture that the last pooling layer can reduce."""
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
        """The results of the first convolution and of fires 3, 5, 6, 7, 8 and 9."""
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
    """Perceptual distance of two pictures, from 0 for equal ones to 4.

    In each layer and at each position, the features are normalized to a vector of length 1.
    The result is the squared distance of these vectors, averaged over positions, then over
    layers, by `weights` if given. LPIPS has weights for channels too, learned from people's
    judgements.
    """
    pairs = zip(features_hat, features, strict=True)
    units = [(F.normalize(a.float(), dim=1), F.normalize(b.float(), dim=1)) for a, b in pairs]
    distances = torch.stack([(a - b).square().sum(dim=1).mean() for a, b in units])
    if weights is None:
        return distances.mean()
    shares = distances.new_tensor(weights)
    return (shares * distances).sum() / shares.sum()
