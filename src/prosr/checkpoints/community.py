"""Adapts other projects' networks, which spandrel recognises, to `prosr.nets`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import Tensor

from prosr.checkpoints import torchfiles
from prosr.errors import CheckpointError
from prosr.layouts import CommunityConfig
from prosr.nets.network import Network
from prosr.scales import SCALES


class Community(Network):
    """A network that calls a spandrel `ImageModelDescriptor`, which preprocesses the pictures."""

    def __init__(self, found: Any) -> None:
        super().__init__(CommunityConfig(scale=found.scale, architecture=found.architecture.name))
        self.net = found.model.float().eval().requires_grad_(False)
        self._found = found

    def enlarge(self, x: Tensor, scale: int) -> Tensor:
        return cast(Tensor, self._found(x))


def load_community(path: Path) -> Community:
    """Return the network in a file that spandrel recognises. Executes nothing in the file.

    Raises `CheckpointError` if the file or spandrel is missing, if spandrel does not recognise the
    file, or if the network does not enlarge RGB by 2, 4 or 8 or computes in windows, whose results
    would depend on the positions of tiles.
    """
    torchfiles.head(path)
    try:
        import spandrel
    # A torchvision built for another PyTorch fails on import in many ways.
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a .safetensors weights file; convert a released ProSR file with "
            "`prosr convert`, or install the reader of other projects' networks: pip install "
            "'prosr[spandrel]', and the torchvision that belongs to your PyTorch "
            f"({_reason(error)})"
        ) from error
    try:
        state = spandrel.canonicalize_state_dict(torchfiles.load(path))
        found = spandrel.ModelLoader().load_from_state_dict(state)
    except (OSError, MemoryError):
        raise
    # spandrel raises many kinds of error for untrusted content.
    except Exception as error:
        raise CheckpointError(
            f"{path}: not a network that spandrel recognises ({_reason(error):.120}); "
            "convert a released ProSR file with `prosr convert`"
        ) from error
    name, needs = found.architecture.name, found.size_requirements
    rgb = (found.input_channels, found.output_channels) == (3, 3)
    if not (isinstance(found, spandrel.ImageModelDescriptor) and found.scale in SCALES and rgb):
        raise CheckpointError(f"{path}: this {name} does not enlarge RGB pictures by 2, 4 or 8")
    if needs.multiple_of > 1 or needs.square:
        raise CheckpointError(
            f"{path}: this {name} computes in windows of {needs.multiple_of} pixels, so tile "
            "borders would be visible; use a convolutional network"
        )
    return Community(found)


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
