"""OpenVINO behind the protocol of engines: the fastest on a CPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import openvino
import torch
from torch import Tensor, nn

from prosr.inference.engines.planned import Function, residual_part
from prosr.inference.memory import reuse_freed_memory
from prosr.inference.precision import bf16_pays
from prosr.inference.tracing import cache_folder, cached, check, identity, trace

_SHAPES = 2
"""Shapes that a part is kept compiled for: the tiles of a picture have one, or two."""

_SMALL = 128 * 128
"""Pixels below which compiling for the shape would take longer than it saves."""

_LIBRARY = 40_000_000

_GROWTH, _RESULTS = {"fp32": 1.2, "bf16": 0.6}, {"fp32": 0.0, "bf16": 6.0}
_STAGE_GROWTH = {"fp32": 1.2, "bf16": 1.0}
"""The tensors are laid out in one block beforehand, in their own precision: 0.73 (prosr-l), 0.81
(prosr-s) and 1.08 (prosr-xs) of the peak in PyTorch were measured in float32, 0.53 (prosr-s) and
0.93 (prosr-xs) in bfloat16: about half of the tensors and six results; OpenVINO 2026.4 on x86."""

_TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2}


@cache
def core() -> Any:
    """OpenVINO's core, one for the process and never let go.

    Its CPU plugin lends the thread that loads it a stack for signal handlers. Let go in
    another thread, it takes that memory away, and the next signal ends the process.
    """
    return openvino.Core()


class OpenVinoRunner:
    """OpenVINO on the CPU: in bfloat16 where that pays, unless "fp32" is asked for.

    With "auto" R_s is in 8-bit integers where `prosr quantize` has found that to pay, and as
    the graph that `trials` has for a part where that is to be found out.
    """

    name = "openvino"
    device = "cpu"
    copies = 2.0
    """One is the bindings', and one brings it into float32 and its order."""
    parting = 1.5
    """`prosr-s` ×4 within 2 GB: 157 GFLOP/s in stages, 239 in whole tiles."""
    least = 2

    def __init__(
        self,
        precision: Literal["auto", "native", "fp32"] = "auto",
        trials: Mapping[str, Path] | None = None,
    ) -> None:
        reuse_freed_memory()
        self._core = core()
        capable = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        fast = precision != "fp32" and "BF16" in capable and bf16_pays()
        self._native = "bf16" if fast else "fp32"
        self.growth, self.results = _GROWTH[self._native], _RESULTS[self._native]
        self.stage_growth = _STAGE_GROWTH[self._native]
        self._may_int8, self._trials = precision == "auto", trials or {}
        self.precision: str = self._native
        self._active: Any = None
        self._identity = cache(identity)

    def held(self, weights: int) -> int:
        """PyTorch's, and for each of the shapes one in the order of the kernels; one spare."""
        return _LIBRARY + (2 + _SHAPES) * weights

    def prepare(self, net: nn.Module, part: str, function: Function) -> Function:
        return _Graph(self, net, part, function)

    def graph(self, net: nn.Module, part: str, function: Function, channels: int) -> Path:
        """What is to be compiled for the part: the quantized graph, or the traced one."""
        int8 = self._trials.get(part) or self._place(net, part, "-int8.xml")
        if self._may_int8 and int8.exists():
            return int8

        def make(path: Path) -> None:
            trace(net, function, channels, path)
            model = self.compile(path, (1, channels, -1, -1))
            atol = _TOLERANCE[self._native]
            check(lambda x: self.run(model, x), function, channels, atol)

        return cached(self._place(net, part, ".onnx"), make)

    def precision_of(self, graph: Path) -> str:
        """What a graph of the cache is computed in."""
        return "int8" if graph.suffix == ".xml" else self._native

    def traced(self, net: nn.Module, scale: int) -> Path:
        """Where R_s is, once it has been traced."""
        return self._place(net, residual_part(scale), ".onnx")

    def int8_graph(self, net: nn.Module, scale: int) -> Path:
        """Where R_s in 8 bits belongs."""
        return self._place(net, residual_part(scale), "-int8.xml")

    def _place(self, net: nn.Module, part: str, ending: str) -> Path:
        return cache_folder() / f"{self._identity(net)[:24]}-{part}{ending}"

    def compile(self, path: Path, shape: tuple[int, ...]) -> Any:
        """A graph for inputs of one shape, [N, C, H, W], -1 where any length may come."""
        model = self._core.read_model(path)
        model.reshape(openvino.PartialShape(list(shape)))
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self._native],
            # Threads that are bound to a core wait for whoever else computes there.
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(model, "CPU", options)

    def run(self, model: Any, x: Tensor) -> Tensor:
        """What a compiled graph gives for x, which has its shape, in float32 on the CPU.

        The memory of whichever ran before, if another, is given back first.
        """
        # Each model keeps the memory that it computed in; only one may at a time.
        if self._active is not None and self._active is not model:
            self._active.release_memory()
        self._active = model
        return torch.from_numpy(model(x.contiguous().numpy(), share_inputs=True)[0])


class _Graph:
    """A part of a network, compiled for the shapes that come."""

    def __init__(self, runner: OpenVinoRunner, net: nn.Module, part: str, function: Function):
        self._runner, self._net, self._part, self._function = runner, net, part, function
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._precision = runner.precision

    def __call__(self, x: Tensor) -> Tensor:
        model = self._model(x.shape[1], x.shape[2], x.shape[3])
        self._runner.precision = self._precision
        return torch.cat([self._runner.run(model, one) for one in torch.split(x, 1)])

    def _model(self, channels: int, height: int, width: int) -> Any:
        size = (-1, -1) if height * width < _SMALL else (height, width)
        shape = (1, channels, *size)
        if shape not in self._compiled:
            while len(self._compiled) >= _SHAPES:
                self._compiled.popitem(last=False)
            path = self._runner.graph(self._net, self._part, self._function, channels)
            self._precision = self._runner.precision_of(path)
            self._compiled[shape] = self._runner.compile(path, shape)
        self._compiled.move_to_end(shape)
        return self._compiled[shape]
