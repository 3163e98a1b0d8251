"""Networks of other projects, recognised by spandrel, in the shape of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prosr.errors import CheckpointError
from prosr.layouts import CommunityConfig
from prosr.nets.network import Plain
from prosr.scales import SCALES

SUFFIXES = (".pth", ".pt", ".ckpt")


class Community(Plain):
    """A network for one scale: `function` is a forward pass of `net`, which it may prepare."""

    layout: CommunityConfig

    def __init__(
        self, net: nn.Module, layout: CommunityConfig, function: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(layout)
        self.net, self._function = net, function

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        return self._function(x)


def load_community(path: Path) -> Community:
    """The network of a file that spandrel knows.

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
    return Community(net, CommunityConfig(scale=found.scale, architecture=name), found)


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
