"""Networks as ONNX graphs, and where such graphs are kept from one run to the next."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from prosr.checkpoints.weights import weights_hash
from prosr.errors import InferenceError
from prosr.files import replacing
from prosr.version import __version__

_OPSET = 17
_KEPT = 40
"""Graphs in the cache; the ones not used for longest are deleted."""

_EXAMPLE = (18, 20)
"""Height and width of the input that is traced: any, as both stay open."""

_SIZES = ((9, 14), (33, 2))
"""Heights and widths on which what was traced is compared with the network."""


class _Part(nn.Module):
    """A function with the network that its parameters belong to."""

    def __init__(self, net: nn.Module, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.function = net, function
        # The exporter gives all of it the mode that the whole was in.
        self.train(net.training)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def trace(net: nn.Module, function: Callable[[Tensor], Tensor], channels: int, path: Path) -> None:
    """Write `function`, a part of `net`, [N, channels, H, W] → tensor, as an ONNX graph.

    Batch, height and width stay open; the input is called "x" and the result "y". Height
    and width must be 2 or more. Raises `InferenceError` for what cannot be traced.
    """
    import onnx  # noqa: F401  # PyTorch asks for it last; missing, it is to be named.

    x = torch.full((1, channels, *_EXAMPLE), 0.5)
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        # Of constants that the tracer keeps, which they are, and of a successor that takes
        # ten times as long for the same graph and needs more packages.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _Part(net, function),
                (x,),
                str(path),
                input_names=["x"],
                output_names=["y"],
                dynamic_axes={"x": axes, "y": axes},
                opset_version=_OPSET,
                dynamo=False,
            )
        except OSError:
            raise
        # A network of another origin may do anything, and the exporter trip over it anyhow.
        except Exception as error:
            raise InferenceError(f"{type(net).__name__} cannot be exported ({error})") from error


def check(
    run: Callable[[Tensor], Tensor],
    function: Callable[[Tensor], Tensor],
    channels: int,
    atol: float,
) -> None:
    """Raise `InferenceError` unless `run` gives what `function` does, at sizes not traced.

    `atol` is for results in the order of 1; larger ones may differ by as much more.
    """
    generator = torch.Generator().manual_seed(0)
    for size in _SIZES:
        x = torch.rand(1, channels, *size, generator=generator)
        with torch.inference_mode():
            expected = function(x)
        y = run(x)
        same = y.shape == expected.shape
        far = (y - expected).abs().max().item() if same else math.inf
        if not far <= atol * max(1, expected.abs().max().item()):
            raise InferenceError(f"the exported network is {far:g} off at {size[1]}×{size[0]}")


def identity(net: nn.Module) -> str:
    """A hash of all that decides what a network computes: parameters, settings and code."""
    digest = hashlib.sha256(f"{weights_hash(net.state_dict())} {__version__}".encode())
    digest.update(torch.__version__.encode())
    sources = set()
    for name, module in net.named_modules():
        kind = type(module)
        settings = {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, int | float | str | tuple | None) and key != "training"
        }
        digest.update(f"{name} {kind.__qualname__} {sorted(settings.items())}\n".encode())
        source = getattr(sys.modules[kind.__module__], "__file__", None)
        if source and not kind.__module__.startswith("torch."):
            sources.add(source)
    for source in sorted(sources):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def cached(path: Path, make: Callable[[Path], None]) -> Path:
    """The file at `path` in the user's cache, made by `make` unless it is there.

    Where the cache cannot be written, as in a container without a home or on a full disk, it is
    made for this process alone.
    """
    if path.exists():
        # A cache that somebody else keeps can be used all the same.
        with suppress(OSError):
            path.touch()
        return path
    spare = Path(_spare_folder().name) / path.name
    if spare.exists():
        return spare
    if _takes_files(path.parent):
        with suppress(OSError):
            return _made(path, make)
    try:
        return _made(spare, make)
    except OSError as error:
        raise InferenceError(
            f"the traced network can be kept neither in {path.parent} nor in {spare.parent} "
            f"({error.strerror}); make room, or name another cache by PROSR_CACHE"
        ) from error


def _made(path: Path, make: Callable[[Path], None]) -> Path:
    with replacing(path) as temporary:
        make(temporary)
    _prune(path.parent)
    return path


def _takes_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


@cache
def _spare_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="prosr-")


def cache_folder() -> Path:
    """`$PROSR_CACHE`, or else "prosr" where the system keeps users' caches."""
    if chosen := os.environ.get("PROSR_CACHE"):
        return Path(chosen)
    found = os.path.expanduser("~")
    # A user without a home gets a place that takes no files.
    home = Path(found if found != "~" else os.devnull)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "prosr"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "prosr"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "prosr"


def _prune(folder: Path) -> None:
    found = []
    for path in folder.glob("[!.]*.onnx"):
        # Another process may have removed it since.
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[:-_KEPT]:
        with suppress(OSError):
            path.unlink()
