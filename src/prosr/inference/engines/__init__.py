"""What computes a tile: one small protocol, and which of its kinds a machine should use."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor, nn

from prosr.errors import ConfigError
from prosr.inference.engines.planned import PlannedEngine, Runner, Staged

ENGINES = ("auto", "torch", "openvino", "onnx")


class Engine(Protocol):
    """Enlarges tiles within a memory budget; `name` and `precision` say how."""

    @property
    def name(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def __call__(self, x: Tensor, scale: int) -> Tensor:
        """x, float32 [N, 3, H, W] RGB in [0, 1] → [N, 3, sH, sW] on the CPU, not clipped."""
        ...

    def radius(self, scale: int) -> int:
        """Input pixels around an output pixel's own that it can depend on."""
        ...

    def pixels(self, scale: int) -> int:
        """The most pixels that a tile may have within the budget."""
        ...


_PACKAGES = {"openvino": ("openvino", "onnx"), "onnx": ("onnxruntime", "onnx")}
"""What each engine needs beside PyTorch, whose exporter needs the second."""


def installed() -> list[str]:
    """The engines that can be asked for by name."""
    return ["torch", *(name for name, needed in _PACKAGES.items() if all(map(find_spec, needed)))]


def make_engine(net: nn.Module, max_memory: int, wanted: str = "auto") -> Engine:
    """The engine of that name, or for "auto" the fastest that this machine has.

    That is PyTorch on a GPU, and OpenVINO on a CPU for this package's own networks, in bfloat16
    only where R_s and φ_s can be told apart, so that φ_s is not rounded. A network
    of another origin may do what an exporter cannot follow, and stays in PyTorch unless asked.
    Raises `ConfigError` for an unknown name, an engine that is not installed, or a budget of
    `max_memory` bytes in which there is no room.
    """
    if wanted not in ENGINES:
        raise ConfigError(f"no engine is called {wanted!r}; use one of: {', '.join(ENGINES)}")
    return PlannedEngine(net, max_memory, _runner(net, wanted))


def _runner(net: nn.Module, wanted: str) -> Runner:
    from prosr.inference.engines.pytorch import TorchRunner

    device = "cpu"
    if wanted in ("auto", "torch"):
        device = _device()
    ours = type(net).__module__.startswith("prosr.nets.") and any(True for _ in net.parameters())
    if wanted == "auto":
        fast = device == "cpu" and ours and "openvino" in installed()
        wanted = "openvino" if fast else "torch"
    if wanted == "torch":
        return TorchRunner(device)
    if wanted not in installed():
        raise ConfigError(
            f"engine {wanted} needs {' and '.join(_PACKAGES[wanted])}; "
            f"install it with: pip install 'prosr[{wanted}]'"
        )
    if wanted == "onnx":
        from prosr.inference.engines.onnx import OnnxRunner

        return OnnxRunner()
    from prosr.inference.engines.openvino import OpenVinoRunner

    # Only a residual may be rounded: whole pictures in bfloat16 lose a tenth of a decibel.
    return OpenVinoRunner("auto" if isinstance(net, Staged) else "fp32")


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
