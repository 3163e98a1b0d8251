"""Networks of other projects, recognised by spandrel, in the shape of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prosr.errors import CheckpointError, ConfigError
from prosr.layouts import SCALES, Scale

SUFFIXES = (".pth", ".pt", ".ckpt")

_BREADTH, _LONGEST = 4, 2048
"""Sides of the strip along which a radius is looked for."""

_PROBE = 16


class Community(nn.Module):
    """A network for one scale: `function` is a forward pass of `net`, which it may prepare."""

    def __init__(self, net: nn.Module, scale: Scale, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.scales, self._function = net, (scale,), function
        self._radius = cache(lambda: find_radius(function, scale))

    def forward(self, x: Tensor, scale: int, alpha: float = 1.0) -> Tensor:
        """Enlarge x, [N, 3, H, W] RGB in [0, 1], to [N, 3, sH, sW].

        Raises `ConfigError` for another scale than its own.
        """
        self._check(scale)
        return self._function(x)

    def receptive_radius(self, scale: int) -> int:
        """Input pixels on each side of an output pixel's own that it can depend on."""
        self._check(scale)
        return self._radius()

    def multiply_adds(self, scale: int) -> int:
        """Multiply-adds per input pixel."""
        from torch.utils.flop_counter import FlopCounterMode

        self._check(scale)
        with FlopCounterMode(display=False) as counter:
            self._function(torch.zeros(1, 3, _PROBE, _PROBE))
        return int(counter.get_total_flops()) // (2 * _PROBE**2)

    def _check(self, scale: int) -> None:
        if scale != self.scales[0]:
            raise ConfigError(f"scale {scale} is not {self.scales[0]}, the only one of this model")


def load_community(path: Path) -> tuple[Community, str]:
    """The network of a file that spandrel knows, and its architecture's name.

    Nothing in the file is executed. Raises `CheckpointError` where spandrel is missing, for
    a file that it does not know, and for a network that does not enlarge RGB by 2, 4 or 8 or
    that computes in windows: its results would depend on where tiles begin.
    """
    spandrel = _import_spandrel(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(state))
    except (OSError, MemoryError):
        raise
    # Both meet untrusted content, and say what is wrong with it in many ways.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{path}: no network that spandrel knows ({reason:.120}); turn a released one of "
            "ProSR's into weights with `prosr convert`"
        ) from error
    name = found.architecture.name
    needs = found.size_requirements
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.scale not in SCALES:
        raise CheckpointError(f"{path}: this {name} does not enlarge pictures by 2, 4 or 8")
    if (found.input_channels, found.output_channels) != (3, 3):
        raise CheckpointError(f"{path}: this {name} does not go from RGB to RGB")
    if needs.multiple_of > 1 or needs.square:
        raise CheckpointError(
            f"{path}: this {name} computes in windows of {needs.multiple_of} pixels, so that "
            "tiles would show; use a network of convolutions alone"
        )
    net = found.model.float().eval().requires_grad_(False)
    return Community(net, found.scale, found), name


def find_radius(function: Callable[[Tensor], Tensor], scale: int) -> int:
    """How far from a pixel the result depends on it, in pixels of the input.

    A pixel that is no number makes none of what depends on it, however little. Raises
    `CheckpointError` where that is everything in a strip of 2048 pixels.
    """
    length = 64
    while length <= _LONGEST:
        radius = max(_reach(function, scale, length, turned) for turned in (False, True))
        if radius < length // 2 - 1:
            return radius
        length *= 2
    raise CheckpointError(
        f"every pixel of this network's results depends on all within {_LONGEST // 2}, so that "
        "it cannot be computed in tiles; use a network of convolutions alone"
    )


def _reach(function: Callable[[Tensor], Tensor], scale: int, length: int, turned: bool) -> int:
    middle = length // 2
    x = torch.full((1, 3, _BREADTH, length), 0.5)
    x[..., middle] = torch.nan
    with torch.inference_mode():
        y = function(x.mT if turned else x)
    touched = (y.mT if turned else y).isnan().any(dim=2)[0].any(dim=0).nonzero()
    first, last = int(touched.min()) // scale, int(touched.max()) // scale
    return max(middle - first, last - middle)


def _import_spandrel(path: Path) -> Any:
    try:
        import spandrel
    except ModuleNotFoundError as error:
        if error.name != "spandrel":
            raise _unusable(path, error) from error
        raise CheckpointError(
            f"{path}: not a .safetensors weights file; turn a released ProSR .pth into one with "
            "`prosr convert`, or for other projects' networks: pip install 'prosr[spandrel]'"
        ) from None
    # torchvision, which spandrel imports, beside a PyTorch that it was not built for.
    except Exception as error:
        raise _unusable(path, error) from error
    return spandrel


def _unusable(path: Path, error: Exception) -> CheckpointError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(
        f"{path}: spandrel, which would read it, cannot be imported ({reason}); install the "
        "torchvision that belongs to your PyTorch"
    )
