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

# OpenVINO's __init__ imports its converter and a telemetry client if they are present. They double
# the import time, write into the user's home directory, and fail if there is none.
_hidden = sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
import openvino
from openvino import opset13 as ops

if _hidden is None:
    del sys.modules["openvino.tools.ovc"]

from prosr.cache import cache_folder
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

_SHAPES = 2
"""Number of shapes for which a graph stays compiled: tiles of a picture have one or two."""

_SMALL = 128 * 128
"""Below this number of pixels, a graph is compiled once for all shapes. Such a graph takes up to
twice the memory, so larger tiles get a graph for their own shape."""

_MEMORY = {
    "fp32": MemoryModel(reserved=180_000_000, weights=1 + _SHAPES, activations=1.2, results=3),
    "bf16": MemoryModel(reserved=180_000_000, weights=1 + _SHAPES, activations=0.65, results=2.5),
}
"""Measured with an earlier `prosr-xs` on tiles of 400×400: 1.26, 1.25 and 1.23 times the float32
activations at ×2, ×4 and ×8; 0.67, 0.72 and 0.78 times in bfloat16; 110 MB resident before the
first tile (OpenVINO 2026.4, x86-64)."""

_SIDE, _TIMES, _GAIN = 256, 8, 1.2
"""Size of the timed matrix products, their number, and the speed-up that bfloat16 must reach."""


@cache
def core() -> Any:
    """OpenVINO's core, one for the process, kept until its end.

    Its CPU plugin gives the thread that loads it a stack for signal handlers. If another thread
    released the core, that stack would be freed and the next signal would crash the process.
    """
    return openvino.Core()


def read_graph(path: Path) -> tuple[Any, ScaleCost]:
    """Read a graph and its metadata. Raises `CheckpointError` for any other file."""
    try:
        model = core().read_model(path)
    except RuntimeError as error:
        raise damaged(path) from error
    stored = model.get_rt_info()
    # The map has no `get`.
    metadata = stored["framework"] if "framework" in stored else {}  # noqa: SIM401
    return model, parse_metadata({key: value.astype(str) for key, value in metadata.items()}, path)


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU: in bfloat16 if that is faster and the graph allows it.

    With `precision="auto"` it uses the 8-bit graphs that `prosr quantize` has kept; with "native"
    it does not; with "fp32" it uses float32 only. `trials` maps scales to graphs that replace their
    own.
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
        self._graphs = dict(model.graphs)
        if precision == "auto":
            int8 = {scale: int8_path(model, scale) for scale in model.graphs}
            self._graphs |= {scale: path for scale, path in int8.items() if os.path.exists(path)}
        self._graphs |= trials or {}
        # All graphs of a network have the same value.
        may_round = precision != "fp32" and cost(min(model.graphs)).may_round
        self._native = "bf16" if may_round and bf16_is_faster() else "fp32"
        self.precision = self._native
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._active: Any = None
        super().__init__(model.graphs, cost, model.size, max_memory, _MEMORY[self._native])

    def run(self, x: Block, scale: int) -> Block:
        compiled = self._compile(scale, *x.shape[2:])
        # Each compiled graph keeps the memory of its activations, so keep only one.
        if self._active is not None and self._active is not compiled:
            self._active.release_memory()
        self._active = compiled
        self.precision = "int8" if self._graphs[scale].suffix == ".xml" else self._native
        result: Block = compiled(x, share_inputs=True)[0].copy()
        return result

    def release(self) -> None:
        with self._running:
            if self._active is not None:
                self._active.release_memory()
        super().release()

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
        # Threads bound to a core would wait for other programs on that core.
        "ENABLE_CPU_PINNING": False,
    }
    return core().compile_model(model, "CPU", options)


def int8_path(model: Model, scale: int) -> Path:
    """The path of a graph that `prosr quantize` wrote, named by a hash of graph and weights."""
    graph = hashlib.sha256(model.graphs[scale].read_bytes() + model.sha256.encode()).hexdigest()
    return cache_folder() / "int8" / f"{graph[:24]}.xml"


@cache
def bf16_is_faster() -> bool:
    """Time whether matrix products are clearly faster in bfloat16 than in float32.

    Hardware support alone is not enough: on a Xeon of the fifth generation, AVX-512 without AMX
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
