"""Adapts other projects' networks, which spandrel recognises, to `prosr.nets`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from prosr.checkpoints import torchfiles
from prosr.checkpoints.torchfiles import Refused
from prosr.errors import printable
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


def read_community(content: Any, unknown: str) -> Community:
    """Return the network in the content of a file, if spandrel recognises it.

    `unknown` says why it is none of the networks that this package knows. Raises `Refused` if
    spandrel is missing or does not recognise it either, or if the network does not enlarge RGB by
    2, 4 or 8 or computes in windows, whose results would depend on the positions of tiles.
    """
    try:
        import spandrel
    # A torchvision built for another PyTorch fails on import in many ways.
    except Exception as error:
        raise Refused(
            f"{unknown}; if it is another project's network, run: pip install 'prosr[spandrel]', "
            f"with the torchvision that belongs to your PyTorch ({_reason(error)})"
        ) from error
    try:
        state = dict(spandrel.canonicalize_state_dict(content))
        whole = {key for key, value in state.items() if value.dtype == torch.int64}
        # Before torch converts complex or whole numbers, with a warning or without.
        torchfiles.check_values({key: state[key] for key in state.keys() - whole})
        found = spandrel.ModelLoader().load_from_state_dict(dict(state))
    except (Refused, MemoryError):
        raise
    # spandrel raises many kinds of error for untrusted content.
    except Exception as error:
        why = f"spandrel does not recognise it either ({_reason(error):.120})"
        raise Refused(f"{unknown}; {why}") from error
    name, needs = found.architecture.name, found.size_requirements
    rgb = (found.input_channels, found.output_channels) == (3, 3)
    if not (isinstance(found, spandrel.ImageModelDescriptor) and found.scale in SCALES and rgb):
        raise Refused(f"this {name} does not enlarge RGB pictures by 2, 4 or 8")
    if needs.multiple_of > 1 or needs.square:
        raise Refused(
            f"this {name} computes in windows of {needs.multiple_of} pixels, so tile "
            "borders would be visible; use a convolutional network"
        )
    counts = {key for key, own in found.model.state_dict().items() if own.dtype == torch.int64}
    torchfiles.check_values({key: state[key] for key in whole - counts})
    return Community(found)


def _reason(error: Exception) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])
