"""ONNX Runtime, for machines that OpenVINO does not run on, and for GPUs without PyTorch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime

from prosr.inference.engine import (
    Engine,
    MemoryModel,
    ScaleCost,
    damaged,
    parse_metadata,
    thread_count,
)
from prosr.inference.tiling import Block
from prosr.models import Model

_MEMORY = MemoryModel(reserved=180_000_000, weights=2, activations=2.6, results=3)
"""Measured per input pixel with earlier networks: 2.4 to 2.6 times the float32 activations for
`prosr-xs`, 2.8 times for `progansr-xs` (ONNX Runtime 1.32, x86-64)."""

_PROVIDERS: dict[str, dict[str, str]] = {
    "CUDAExecutionProvider": {"use_tf32": "0"},
    "DmlExecutionProvider": {},
    "CPUExecutionProvider": {},
}
"""Execution providers that compute in float32, the fastest first, and their options."""


class OnnxEngine(Engine):
    """ONNX Runtime in float32, on a GPU if the installed package has a provider for it."""

    name: ClassVar[str] = "onnx"

    def __init__(self, model: Model, max_memory: int) -> None:
        # Keep only one session: each holds the parameters.
        session = lru_cache(maxsize=1)(lambda scale: _open(model.graphs[scale]))

        def cost(scale: int) -> ScaleCost:
            metadata = session(scale).get_modelmeta().custom_metadata_map
            return parse_metadata(metadata, model.graphs[scale])

        self._session = session
        super().__init__(model.graphs, cost, model.size, max_memory, _MEMORY)

    def run(self, x: Block, scale: int) -> Block:
        result: Block = self._session(scale).run(None, {"x": x})[0]
        return result


def _open(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    # The arena would never release its memory; glibc reuses freed memory anyway.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    installed = onnxruntime.get_available_providers()
    providers = [(name, _PROVIDERS[name]) for name in _PROVIDERS if name in installed]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    # The exceptions of ONNX Runtime have no common class.
    except Exception as error:
        raise damaged(path) from error
