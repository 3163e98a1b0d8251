"""What a network costs, traced from the network itself: MACs, receptive radius, memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from prosr.errors import ConfigError, InferenceError

_PROBE = 16
"""Side of the input for `Cost.bytes`. Padding costs small inputs relatively more memory than
large ones, so the number is on the safe side."""

_BREADTH, _SHORTEST, _LONGEST = 4, 64, 2048
"""Sides of the strips in which a radius is searched."""


class Cost(NamedTuple):
    """What a network costs at one scale.

    `macs` is the number of multiply-accumulate operations for each input pixel of a large
    picture. Only convolutions with trained kernels count; φ_s, back-projection and biases do
    not. `radius` is the receptive radius: the distance in input pixels from an output pixel's
    place to the furthest input pixel that it depends on, along an axis. `bytes` is the peak
    memory of the activations for each input pixel in float32, without the input itself and
    without what operators allocate internally.
    """

    macs: int
    radius: int
    bytes: int


_KNOWN: WeakKeyDictionary[nn.Module, dict[int, Cost]] = WeakKeyDictionary()


def trace(net: nn.Module, scale: int) -> Cost:
    """Measure the cost of `net(x, scale)` in evaluation mode, once for each network and scale.

    The network must have the same structure for every size of x. Raises `ConfigError` for a
    scale that it does not have, and for an unlimited receptive field.
    """
    known = _KNOWN.setdefault(net, {})
    if scale not in known:
        macs, peak = observe(net, scale)
        known[scale] = Cost(macs, find_radius(net, scale), peak)
    return known[scale]


def observe(net: nn.Module, scale: int) -> tuple[int, int]:
    """`Cost.macs` and `Cost.bytes` of a network; its parameters may be on the meta device.

    No convolution is computed, so this takes less time than `trace`.
    """
    step = _PROBE // 2
    small, middle, large = (_watch(net, scale, _PROBE + n * step) for n in (-1, 0, 1))
    # Padding adds MACs in proportion to the side; the second difference leaves these out.
    macs = (small.macs - 2 * middle.macs + large.macs) // (2 * step**2)
    return macs, -(-middle.peak // _PROBE**2)


def _watch(net: nn.Module, scale: int, side: int) -> _Watch:
    """Run the network in float32 on an input of `side`×`side` pixels."""
    like = _like(net)
    device = "cpu" if like.is_meta else like.device
    state = {}
    for name, value in (*net.named_parameters(), *net.named_buffers()):
        dtype = torch.float32 if value.is_floating_point() else value.dtype
        state[name] = torch.zeros_like(value, dtype=dtype, device=device)
    watch = _Watch([state[name] for name, _ in net.named_parameters()])
    x = torch.zeros(1, 3, side, side, device=device)
    # Inference mode would not reduce every convolution to the one operator that is watched.
    with _evaluating(net), torch.no_grad(), watch:
        functional_call(net, state, (x, scale))
    return watch


def find_radius(net: Callable[[Tensor, int], Tensor], scale: int) -> int:
    """The exact receptive radius in input pixels; see `Cost.radius`.

    One column of a strip is NaN, and NaN reaches whatever depends on it, however weakly.
    Raises `ConfigError` if that is everything in a strip of 2048 pixels, and `InferenceError`
    for a network that computes values that are not finite.
    """
    length = _SHORTEST
    while length <= _LONGEST:
        radius = _reach(net, scale, length, turned=False)
        if radius < length // 2 - 1:
            radius = max(radius, _reach(net, scale, length, turned=True))
        if radius < length // 2 - 1:
            return radius
        length *= 2
    like = _like(net)
    x = torch.full((1, 3, _BREADTH, _SHORTEST), 0.5, dtype=like.dtype, device=like.device)
    with _evaluating(net), torch.inference_mode():
        if not net(x, scale).isfinite().all():
            raise InferenceError(
                "this network computes values that are not finite; its training has diverged or "
                "its file is damaged"
            )
    raise ConfigError(
        f"every result of this network depends on all pixels within {_LONGEST // 2}, so it cannot "
        "run in tiles; use a purely convolutional network"
    )


def _reach(net: Callable[[Tensor, int], Tensor], scale: int, length: int, *, turned: bool) -> int:
    """Distance in input pixels from the NaN column to the furthest result that is NaN."""
    like = _like(net)
    x = torch.full((1, 3, _BREADTH, length), 0.5, dtype=like.dtype, device=like.device)
    middle = length // 2
    x[..., middle] = torch.nan
    # cuDNN may transform blocks of pixels, which would spread NaN too far.
    exact = torch.backends.cudnn.flags(enabled=False)
    with _evaluating(net), torch.inference_mode(), exact:
        y_hat = net(x.mT if turned else x, scale)
    touched = (y_hat.mT if turned else y_hat).isnan().any(dim=2)[0].any(dim=0).nonzero()
    first, last = int(touched.min()) // scale, int(touched.max()) // scale
    return max(middle - first, last - middle)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the life of all tensors; counts the MACs of convolutions without computing them.

    A kernel counts if it is one of the tensors `trained` or computed from these alone.
    """

    def __init__(self, trained: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self.macs = 0
        self._trained = {_key(tensor) for tensor in trained}
        self._alive: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import PyTorch's compiler, which takes nearly as long as PyTorch itself.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        if func is torch.ops.aten.convolution.default:
            result = self._convolve(*args)
        else:
            result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (key := _key(leaf)) not in given | self._alive.keys():
                storage = leaf.untyped_storage()
                self._alive[key] = storage.nbytes()
                if given and given <= self._trained:
                    self._trained.add(key)
                weakref.finalize(storage, self._forget, key)
        self.peak = max(self.peak, sum(self._alive.values()))
        return result

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
        """Zeros of the right shape, from a convolution of a single channel."""
        *geometry, groups = options
        is_transposed = geometry[3]
        channel = torch.ops.aten.convolution(x[:, :1], kernel[:1, :1], None, *geometry, 1)
        channels = kernel.shape[1] * groups if is_transposed else kernel.shape[0]
        if _key(kernel) in self._trained:
            # A transposed convolution computes for each pixel that it reads.
            computed = x[:, :1] if is_transposed else channel
            self.macs += computed.numel() * kernel.numel()
        return x.new_zeros((channel.shape[0], channels, *channel.shape[2:]))

    def _forget(self, key: int) -> None:
        self._alive.pop(key, None)
        self._trained.discard(key)


def _key(tensor: Tensor) -> int:
    key: int = tensor.untyped_storage()._cdata
    return key


def _like(net: object) -> Tensor:
    """A tensor whose type and device are those of the network's parameters."""
    parameters = net.parameters() if isinstance(net, nn.Module) else iter(())
    return next(parameters, torch.empty(0))


@contextmanager
def _evaluating(net: object) -> Iterator[None]:
    """Evaluation mode within the block; batch statistics would mix all pixels."""
    modules = list(net.modules()) if isinstance(net, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
