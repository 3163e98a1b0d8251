"""Scores beside PSNR and SSIM, for those who ask for them: how a result looks.

colour          largest difference of a channel's mean from the input's, in 8-bit levels
squeezenet=FILE distance of SqueezeNet 1.1's features, see `nets.features.feature_distance`
niqe            naturalness without a truth, see `evaluation.niqe`
lpips, dists    torchmetrics' with its own weights, fetched before the first picture

Less is better for each. They are taken of RGB with the protocol's border left out, except
colour, which is of whole pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prosr.checkpoints.features import open_squeezenet
from prosr.data.tensors import to_tensor
from prosr.errors import CheckpointError, ConfigError, DataError, suggestion
from prosr.evaluation.metrics import crop_border
from prosr.evaluation.niqe import niqe
from prosr.nets.features import SqueezeNet, feature_distance

Pixels = NDArray[np.uint8]
Scorer = Callable[[Pixels, Pixels, Pixels, int], float]
"""Scores a result: the input, the result and the truth, [H, W, 3], and the border in pixels."""

_OURS = ("colour", "squeezenet", "niqe")
_THEIRS = {
    "lpips": "learned_perceptual_image_patch_similarity",
    "dists": "deep_image_structure_and_texture_similarity",
}


def find_scorers(names: Sequence[str]) -> dict[str, Scorer]:
    """The scorers asked for, by their names without a file's.

    Raises `ConfigError` for an unknown one or one whose package is missing, and
    `CheckpointError` for a file that is missing or not what it should be.
    """
    return {name.partition("=")[0]: _find(*name.partition("=")[::2]) for name in names}


def _find(name: str, file: str) -> Scorer:
    if file and name != "squeezenet":
        raise ConfigError(f"{name} takes no file; say {name} alone")
    if name == "squeezenet":
        if not file:
            raise ConfigError("squeezenet needs its weights; say squeezenet=FILE")
        return partial(_squeezenet, open_squeezenet(Path(file)))
    if name == "niqe":
        return _niqe
    if name == "colour":
        return _colour
    if name in _THEIRS:
        return partial(_torchmetrics, _import_torchmetrics(name))
    raise ConfigError(f"no score is called {name!r}{suggestion(name, (*_OURS, *_THEIRS))}")


def _colour(x: Pixels, y_hat: Pixels, y: Pixels, border: int) -> float:
    return float(np.abs(y_hat.mean(axis=(0, 1)) - x.mean(axis=(0, 1))).max())


def _niqe(x: Pixels, y_hat: Pixels, y: Pixels, border: int) -> float:
    return niqe(crop_border(y_hat, border))


def _squeezenet(net: SqueezeNet, x: Pixels, y_hat: Pixels, y: Pixels, border: int) -> float:
    cropped = [crop_border(picture, border) for picture in (y_hat, y)]
    height, width = cropped[0].shape[:2]
    if min(height, width) < SqueezeNet.SMALLEST:
        least = f"{SqueezeNet.SMALLEST}×{SqueezeNet.SMALLEST}"
        raise DataError(f"squeezenet needs {least} pixels within the border, not {width}×{height}")
    with torch.inference_mode():
        ours, theirs = (net(to_tensor(picture)) for picture in cropped)
        return float(feature_distance(ours, theirs))


def _torchmetrics(
    measure: Callable[[Tensor, Tensor], Tensor], x: Pixels, y_hat: Pixels, y: Pixels, border: int
) -> float:
    with torch.inference_mode():
        pair = [to_tensor(crop_border(picture, border)) for picture in (y_hat, y)]
        return float(measure(*pair))


def _import_torchmetrics(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    try:
        import torchvision  # noqa: F401  # torchmetrics asks for it late.
        from torchmetrics.functional import image
    # An installed torchvision that does not fit torch raises more than ImportError.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise ConfigError(
            f"{name} needs torchmetrics and a torchvision that fits torch ({reason}); "
            "install them with: pip install torchmetrics torchvision"
        ) from error
    measure = getattr(image, _THEIRS[name])
    if name == "lpips":
        measure = partial(measure, normalize=True)
    try:
        # The first use fetches the weights: now, not once the first picture is enlarged.
        measure(*torch.zeros(2, 1, 3, 64, 64))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{name}: its weights cannot be fetched ({error})") from error
    return cast(Callable[[Tensor, Tensor], Tensor], measure)
