"""Networks of other projects, recognised by spandrel, as networks of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prosr.checkpoints import torchfiles
from prosr.errors import CheckpointError, ConfigError
from prosr.layouts import SCALES, Scale

SUFFIXES = (".pth", ".pt", ".ckpt")

_BREADTH, _LONGEST = 4, 2048
"""Sides of the strip in which `find_radius` looks for a radius."""

_PROBE = 16


class Community(nn.Module):
    """A network for one scale: `function` is a forward pass of `net`, with its preparations."""

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
        """Return how many input pixels an output pixel can depend on to each side of its own."""
        self._check(scale)
        return self._radius()

    def multiply_adds(self, scale: int) -> int:
        """Return the MACs per input pixel."""
        from torch.utils.flop_counter import FlopCounterMode

        self._check(scale)
        with FlopCounterMode(display=False) as counter:
            self._function(torch.zeros(1, 3, _PROBE, _PROBE))
        return int(counter.get_total_flops()) // (2 * _PROBE**2)

    def _check(self, scale: int) -> None:
        if scale != self.scales[0]:
            raise ConfigError(f"scale {scale} is not {self.scales[0]}, this model's only scale")


def load_community(path: Path) -> tuple[Community, str]:
    """Return the network in a file that spandrel knows, and its architecture's name.

    Nothing in the file is executed. Raises `CheckpointError` if spandrel is missing or does
    not know the file, and for a network that does not enlarge RGB by 2, 4 or 8 or that
    computes in windows: its results would depend on where tiles begin.
    """
    spandrel = _import_spandrel(path)
    try:
        state = spandrel.canonicalize_state_dict(torchfiles.load(path))
        found = spandrel.ModelLoader().load_from_state_dict(state)
    except (OSError, MemoryError):
        raise
    # spandrel meets untrusted content and raises many kinds of error for it.
    except Exception as error:
        raise CheckpointError(
            f"{path}: no network that spandrel knows ({_reason(error):.120}); convert a released "
            "ProSR file with `prosr convert`"
        ) from error
    name, needs = found.architecture.name, found.size_requirements
    if not isinstance(found, spandrel.ImageModelDescriptor) or found.scale not in SCALES:
        raise CheckpointError(f"{path}: this {name} does not enlarge pictures by 2, 4 or 8")
    if (found.input_channels, found.output_channels) != (3, 3):
        raise CheckpointError(f"{path}: this {name} does not map RGB to RGB")
    if needs.multiple_of > 1 or needs.square:
        raise CheckpointError(
            f"{path}: this {name} computes in windows of {needs.multiple_of} pixels, so tile "
            "borders would be visible; use a convolutional network"
        )
    net = found.model.float().eval().requires_grad_(False)
    return Community(net, found.scale, found), name


def find_radius(function: Callable[[Tensor], Tensor], scale: int) -> int:
    """Return the receptive radius of a network in input pixels.

    A NaN in one input pixel makes NaN of every output that depends on it, however little.
    Raises `CheckpointError` if that is everything in a strip of 2048 pixels.
    """
    length = 64
    while length <= _LONGEST:
        radius = max(_reach(function, scale, length, turned) for turned in (False, True))
        if radius < length // 2 - 1:
            return radius
        length *= 2
    raise CheckpointError(
        f"this network's output pixels depend on all input pixels within {_LONGEST // 2}, so it "
        "cannot be computed in tiles; use a convolutional network"
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
    # A torchvision built for another PyTorch fails on import in many ways.
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "spandrel":
            raise CheckpointError(
                f"{path}: not a .safetensors weights file; convert a released ProSR file with "
                "`prosr convert`, or install what reads other projects' networks: "
                "pip install 'prosr[spandrel]'"
            ) from None
        raise CheckpointError(
            f"{path}: spandrel cannot be imported ({_reason(error)}); install the torchvision "
            "version that belongs to your PyTorch"
        ) from error
    return spandrel


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
