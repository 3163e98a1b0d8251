"""Optional perceptual scores. For all of them, lower is better.

colour          largest difference of a channel's mean from the input's, in 8-bit levels
niqe            naturalness without a ground truth, see `evaluation.niqe`
squeezenet=FILE distance of SqueezeNet 1.1's features, see `nets.features.feature_distance`
lpips, dists    torchmetrics' scores, whose weights are downloaded before the first picture

They compare RGB without the protocol's border; colour compares whole pictures. The last three
need PyTorch, from the extra `train`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from prosr.data.decoded import Pixels
from prosr.errors import CheckpointError, ConfigError, DataError, suggestion
from prosr.evaluation.metrics import crop_border
from prosr.evaluation.niqe import niqe
from prosr.images.samples import to_unit

if TYPE_CHECKING:
    from torch import Tensor, nn

Scorer = Callable[[Pixels, Pixels, Pixels, int], float]
"""Scores a result: input, result and ground truth, [H, W, 3], and the border in pixels."""

_TORCHMETRICS = {
    "lpips": "learned_perceptual_image_patch_similarity",
    "dists": "deep_image_structure_and_texture_similarity",
}
_NAMES = ("colour", "squeezenet", "niqe", *_TORCHMETRICS)


def find_scorers(names: Sequence[str]) -> dict[str, Scorer]:
    """The scorers in `names`, keyed by name without "=FILE".

    Raises `ConfigError` for an unknown name or a missing package, and `CheckpointError` for a
    missing or unsuitable file.
    """
    return {name.partition("=")[0]: _find(*name.partition("=")[::2]) for name in names}


def _find(name: str, file: str) -> Scorer:
    if name not in _NAMES:
        raise ConfigError(f"no score is called {name!r}{suggestion(name, _NAMES)}")
    if file and name != "squeezenet":
        raise ConfigError(f"{name} takes no file; write {name} alone")
    if name == "colour":
        return _colour
    if name == "niqe":
        return lambda x, y_hat, y, border: niqe(crop_border(y_hat, border))
    if find_spec("torch") is None:
        raise ConfigError(f"{name} needs PyTorch; install it with: pip install 'prosr[train]'")
    if name == "squeezenet":
        from prosr.checkpoints.features import open_features  # the extra `train`

        if not file:
            raise ConfigError("squeezenet needs its weights; write squeezenet=FILE")
        return partial(_compare, partial(_squeezenet, open_features(name, Path(file))))
    return partial(_compare, _import_torchmetrics(name))


def _colour(x: Pixels, y_hat: Pixels, y: Pixels, border: int) -> float:
    return float(np.abs(y_hat.mean(axis=(0, 1)) - x.mean(axis=(0, 1))).max())


def _compare(
    metric: Callable[[Tensor, Tensor], Tensor], x: Pixels, y_hat: Pixels, y: Pixels, border: int
) -> float:
    """A metric of two pictures, [1, 3, H, W] in [0, 1], of the result and the ground truth."""
    import torch  # the extra `train`

    with torch.inference_mode():
        ours, theirs = (
            torch.from_numpy(to_unit(crop_border(pixels, border))).permute(2, 0, 1)[None]
            for pixels in (y_hat, y)
        )
        return float(metric(ours, theirs))


def _squeezenet(net: nn.Module, ours: Tensor, theirs: Tensor) -> Tensor:
    from prosr.nets.features import SqueezeNet, feature_distance  # the extra `train`

    height, width = ours.shape[-2:]
    if min(height, width) < SqueezeNet.SMALLEST:
        least = f"{SqueezeNet.SMALLEST}×{SqueezeNet.SMALLEST}"
        raise DataError(f"squeezenet needs {least} pixels within the border, not {width}×{height}")
    return feature_distance(net(ours), net(theirs))


def _import_torchmetrics(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    import torch  # the extra `train`

    try:
        import torchvision  # noqa: F401  # torchmetrics imports it later.
        from torchmetrics.functional import image
    # A torchvision that does not fit torch raises more than ImportError.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise ConfigError(
            f"{name} needs torchmetrics and a torchvision that fits torch ({reason}); "
            "install them with: pip install torchmetrics torchvision"
        ) from error
    metric = getattr(image, _TORCHMETRICS[name])
    if name == "lpips":
        metric = partial(metric, normalize=True)
    try:
        # The first call downloads the weights.
        metric(*torch.zeros(2, 1, 3, 64, 64))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{name}: cannot download its weights ({error})") from error
    return cast("Callable[[Tensor, Tensor], Tensor]", metric)
