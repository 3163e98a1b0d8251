"""Cost of a network, traced from the network itself: MACs, receptive radius, memory."""

from __future__ import annotations

import copy
import math
import weakref
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prosr.errors import InferenceError

_SIDES = (4, 10, 16)
"""Sides of the traced inputs. Padding takes relatively more memory for small inputs, so
`Cost.bytes`, measured on the last one, is an upper bound for large ones."""

_BREADTH, _LENGTHS = 4, (64, 128, 256, 512, 1024, 2048)
"""Sides of the strips used to find a radius."""


class Cost(NamedTuple):
    """Cost of a network at one scale.

    `macs` is the number of multiply-accumulate operations for each input pixel of a large picture.
    Only convolutions count; φ_s, back-projection and biases do not. `radius` is the
    receptive radius: the distance in input pixels from an output pixel's place to the furthest
    input pixel that it depends on, along an axis. `bytes` is the peak memory of the activations for
    each input pixel, without the input itself and without what operators allocate internally.
    """

    macs: int
    radius: int
    bytes: int


_KNOWN: WeakKeyDictionary[nn.Module, dict[int, Cost]] = WeakKeyDictionary()


def trace(net: nn.Module, scale: int) -> Cost:
    """Measure the cost of `net(x, scale)` in evaluation mode, once for each network and scale.

    The network must have the same structure for every size of x. Raises `ConfigError` for a
    scale that it does not have, and `InferenceError` for an unlimited receptive field.
    """
    known = _KNOWN.setdefault(net, {})
    if scale not in known:
        macs, peak = observe(net, scale)
        known[scale] = Cost(macs, find_radius(net, scale), peak)
    return known[scale]


def observe(net: nn.Module, scale: int) -> tuple[int, int]:
    """`Cost.macs` and `Cost.bytes` of a network; its parameters may be on the meta device."""
    macs, net = [], _evaluating(net)
    for side in _SIDES:
        x, watch = _picture(net, side, side), _Watch()
        # Inference mode would hide the operators that this counts.
        with torch.no_grad(), watch:
            net(x, scale)
        macs.append(watch.macs)
    # Padding adds MACs in proportion to the side; the second difference removes these.
    step = _SIDES[1] - _SIDES[0]
    each = (macs[0] - 2 * macs[1] + macs[2]) // (2 * step**2)
    return each, -(-watch.peak // _SIDES[-1] ** 2)


def find_radius(net: nn.Module, scale: int) -> int:
    """The exact receptive radius in input pixels; see `Cost.radius`.

    One column of a strip is NaN, and NaN propagates to every pixel that depends on it. Raises
    `InferenceError` if it reaches all pixels of a strip of 2048.
    """
    net = _evaluating(net)
    for length in _LENGTHS:
        radius = max(_reach(net, scale, length, turned) for turned in (False, True))
        if radius < length // 2 - 1:
            return radius
    raise InferenceError(
        f"every result of this network depends on all pixels within {_LENGTHS[-1] // 2}, or is "
        "not finite, so it cannot run in tiles; use an intact, purely convolutional network"
    )


def _evaluating(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode: batch statistics would mix all pixels."""
    return copy.deepcopy(net).eval()


def _reach(net: nn.Module, scale: int, length: int, turned: bool) -> int:
    """Distance in input pixels from the NaN column to the furthest result that is NaN."""
    x = _picture(net, _BREADTH, length)
    middle = length // 2
    x[..., middle] = torch.nan
    # cuDNN may transform blocks of pixels, which would spread NaN too far.
    exact = torch.backends.cudnn.flags(enabled=False)
    with torch.inference_mode(), exact:
        y_hat = net(x.mT if turned else x, scale)
    touched = (y_hat.mT if turned else y_hat).isnan().any(dim=2)[0].any(dim=0).nonzero()
    first, last = int(touched.min()) // scale, int(touched.max()) // scale
    return max(middle - first, last - middle)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tracks the lifetime of all tensors, and counts the MACs of convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self.macs = 0
        self._alive: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import PyTorch's compiler, which takes nearly as long as PyTorch itself.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            x, kernel, transposed = args[0], args[1], args[6]
            # A transposed convolution computes for each pixel that it reads.
            self.macs += kernel.numel() * math.prod((x if transposed else result).shape[2:])
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (key := _key(leaf)) not in given | self._alive.keys():
                storage = leaf.untyped_storage()
                self._alive[key] = storage.nbytes()
                weakref.finalize(storage, self._alive.pop, key, None)
        self.peak = max(self.peak, sum(self._alive.values()))
        return result


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _picture(net: nn.Module, height: int, width: int) -> Tensor:
    """A gray picture of the type and on the device of the network's parameters."""
    like = next(net.parameters(), torch.empty(0))
    return torch.full((1, 3, height, width), 0.5, dtype=like.dtype, device=like.device)
