"""ONNX Runtime behind the protocol of engines, for machines that OpenVINO does not run on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from prosr.inference.engines.planned import Function
from prosr.inference.memory import reuse_freed_memory
from prosr.inference.tracing import cache_folder, cached, check, identity, trace

_TOLERANCE = 1e-4
_LIBRARY = 30_000_000


class OnnxRunner:
    """ONNX Runtime on the CPU, in float32."""

    name = "onnx"
    precision = "fp32"
    device = "cpu"
    growth = stage_growth = 1.7
    results = 0.0
    """Measured: 1.12 (prosr-s) and 1.65 (prosr-xs); ONNX Runtime 1.32, x86-64."""
    copies = 1.0
    parting = 1.3
    """`prosr-s` ×4 within 2 GB: 126 GFLOP/s in stages, 163 in whole tiles."""
    least = 2

    def __init__(self) -> None:
        reuse_freed_memory()
        self._identity = cache(identity)

    def held(self, weights: int) -> int:
        """PyTorch's, and those of the session with what it reorders."""
        return _LIBRARY + 3 * weights

    def prepare(self, net: nn.Module, part: str, function: Function) -> Function:
        def make(path: Path, channels: int) -> None:
            trace(net, function, channels, path)
            session = _open(path)
            check(lambda x: _run(session, x), function, channels, _TOLERANCE)

        @cache
        def session(channels: int) -> Any:
            path = cache_folder() / f"{self._identity(net)[:24]}-{part}.onnx"
            return _open(cached(path, lambda path: make(path, channels)))

        return lambda x: _run(session(x.shape[1]), x)


def _open(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Memory that the arena took would stay taken; freed memory is kept as it is anyway.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, x: Tensor) -> Tensor:
    parts = [session.run(None, {"x": one.contiguous().numpy()})[0] for one in torch.split(x, 1)]
    return torch.cat([torch.from_numpy(part) for part in parts])
