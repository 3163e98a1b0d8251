"""OpenVINO: the fastest engine on a CPU, and the default."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

# OpenVINO's own __init__ imports its converter and a telemetry client, and does without them
# where they are missing. They double the time of the import, write into the user's home, and
# fail where there is none.
_hidden = sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
import openvino
from openvino import opset13 as ops

if _hidden is None:
    del sys.modules["openvino.tools.ovc"]

from prosr.cache import cache_folder
from prosr.errors import CheckpointError
from prosr.inference.engine import (
    Engine,
    MemoryModel,
    ScaleCost,
    parse_metadata,
    thread_count,
)
from prosr.inference.tiling import Block
from prosr.models import Model

_SHAPES = 2
"""Shapes that a graph is kept compiled for: the tiles of a picture have one, or two."""

_SMALL = 128 * 128
"""Pixels below which a graph is compiled once for all shapes. It then takes up to twice the memory,
so larger tiles get a graph of their own shape."""

_MEMORY = {
    "fp32": MemoryModel(reserved=180_000_000, weights=1 + _SHAPES, activations=1.2, results=3),
    "bf16": MemoryModel(reserved=180_000_000, weights=1 + _SHAPES, activations=0.65, results=2.5),
}
"""Tiles of 400×400 took, per input pixel of `prosr-xs`, 1.26, 1.25 and 1.23 times the float32
activations at ×2, ×4 and ×8, 0.67, 0.72 and 0.78 in bfloat16; 110 MB are resident before the
first tile. OpenVINO 2026.4, x86-64."""

_SIDE, _TIMES, _GAIN = 256, 8, 1.2
"""Matrices whose products are timed, how often, and by how much bfloat16 must be faster."""


@cache
def core() -> Any:
    """OpenVINO's core, one for the process, kept until its end.

    Its CPU plugin gives the thread that loads it a stack for signal handlers. If another
    thread released the core, that memory would go, and the next signal end the process.
    """
    return openvino.Core()


def read_graph(path: Path) -> tuple[Any, ScaleCost]:
    """A graph as OpenVINO's model, and its metadata. Raises `CheckpointError` for none."""
    try:
        model = core().read_model(path)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: is not a graph, or is damaged; delete it, or install prosr again"
        ) from error
    stored = model.get_rt_info()
    # The map has no `get`.
    metadata = stored["framework"] if "framework" in stored else {}  # noqa: SIM401
    return model, parse_metadata({key: value.astype(str) for key, value in metadata.items()}, path)


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU: in bfloat16 where that is faster and the graph allows it.

    `precision="auto"` also takes 8-bit graphs where `prosr quantize` has kept one;
    "native" does not, and "fp32" neither rounds nor quantizes. `trials` are graphs to run
    instead of a scale's own.
    """

    name: ClassVar[str] = "openvino"

    def __init__(
        self,
        model: Model,
        max_memory: int,
        precision: Literal["auto", "native", "fp32"] = "auto",
        trials: Mapping[int, Path] | None = None,
    ) -> None:
        cost = cache(lambda scale: read_graph(model.graphs[scale])[1])
        self._graphs: dict[int, Path] = {}
        for scale, path in model.graphs.items():
            int8 = int8_path(model, scale)
            quantized = precision == "auto" and os.path.exists(int8)
            self._graphs[scale] = (trials or {}).get(scale) or (int8 if quantized else path)
        # The graphs of a network agree on this.
        may_round = precision != "fp32" and cost(min(model.graphs)).may_round
        self._native = "bf16" if may_round and bf16_is_faster() else "fp32"
        self.precision = self._native
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._active: Any = None
        memory = _MEMORY[self._native]
        super().__init__(model.graphs, cost, model.size, max_memory, memory)

    def run(self, x: Block, scale: int) -> Block:
        compiled = self._compile(scale, *x.shape[2:])
        # Each compiled graph keeps the memory of its activations; only one may at a time.
        if self._active is not None and self._active is not compiled:
            self._active.release_memory()
        self._active = compiled
        self.precision = "int8" if self._graphs[scale].suffix == ".xml" else self._native
        result: Block = compiled(x, share_inputs=True)[0].copy()
        return result

    def _compile(self, scale: int, height: int, width: int) -> Any:
        small = height * width < _SMALL
        shape = (scale, -1, -1) if small else (scale, height, width)
        if shape not in self._compiled:
            while len(self._compiled) >= _SHAPES:
                self._compiled.popitem(last=False)
            model = core().read_model(self._graphs[scale])
            model.reshape(openvino.PartialShape([1, 3, *shape[1:]]))
            self._compiled[shape] = compile_model(model, self._native)
        self._compiled.move_to_end(shape)
        return self._compiled[shape]


def compile_model(model: Any, precision: str, threads: int | None = None) -> Any:
    """Compile a model for the CPU, in "fp32" or "bf16"."""
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or thread_count(),
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        # Threads that are bound to a core wait for other programs that compute there.
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", options)


def int8_path(model: Model, scale: int) -> Path:
    """Where `prosr quantize` keeps a graph in 8 bits: its name says of which graph and weights."""
    graph = hashlib.sha256(model.graphs[scale].read_bytes() + model.sha256.encode()).hexdigest()
    return cache_folder() / "int8" / f"{graph[:24]}.xml"


@cache
def bf16_is_faster() -> bool:
    """Whether products of matrices are clearly faster here in bfloat16 than in float32, as timed.

    Hardware support alone does not tell: on a Xeon of the fifth generation AVX-512 without AMX
    took twice the time.
    """
    if "BF16" not in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return False
    a, b = (ops.parameter([_SIDE, _SIDE], np.float32, name=name) for name in "ab")
    product = openvino.Model([ops.matmul(a, b, False, False)], [a, b])
    ones = np.ones((_SIDE, _SIDE), np.float32)
    runs = {kind: compile_model(product, kind, threads=1) for kind in ("bf16", "fp32")}
    seconds: dict[str, list[float]] = {kind: [] for kind in runs}
    for _ in range(_TIMES):
        for kind, run in runs.items():
            start = time.perf_counter()
            run([ones, ones])
            seconds[kind].append(time.perf_counter() - start)
    return _GAIN * min(seconds["bf16"]) < min(seconds["fp32"])
