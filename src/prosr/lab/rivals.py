"""What every engine takes for the same picture, beside plain PyTorch and the machine's peaks."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from prosr.checkpoints.weights import find_or_build
from prosr.errors import ConfigError
from prosr.inference.engines import Engine, make_engine
from prosr.inference.engines.planned import PlannedEngine
from prosr.inference.memory import observe
from prosr.inference.precision import has_native_bf16
from prosr.inference.upscaler import MAX_MEMORY, Upscaler
from prosr.lab.apart import Apart
from prosr.lab.records import Row, make_row
from prosr.lab.rounds import PEAK_MULTIPLY_ADDS, Subject, Timing, matmul, measure
from prosr.nets.cost import trace
from prosr.scales import Scale

if TYPE_CHECKING:
    from prosr.inference.engines.openvino import OpenVinoRunner

PLAIN = "plain PyTorch"
"""The network as it is: eager, float32, contiguous, the whole picture at once."""

NATIVE = "openvino native"
"""OpenVINO in the processor's own precision, where it would take 8-bit integers."""

_PROBE = 16
_CROP = (96, 80)
"""Height and width of the picture on which engines are compared with PyTorch."""

_PLAIN_SHARE = 0.4
"""Of the machine's memory: what plain PyTorch may need for a picture to be tried."""


@dataclass(frozen=True)
class Case:
    """A picture of this size, enlarged by a model whose engine has so many bytes."""

    model: str
    scale: Scale
    height: int
    width: int
    max_memory: int = MAX_MEMORY

    def __str__(self) -> str:
        within = "" if self.max_memory == MAX_MEMORY else f", {self.max_memory / 1e9:g} GB"
        return f"{self.model} ×{self.scale}, {self.width}×{self.height}{within}"


def parse_picture(text: str) -> tuple[int, int]:
    """Height and width of "4000x3000" (width first, as people write it)."""
    match = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if match is None:
        raise ConfigError(f"{text!r} is no size of a picture; write for example 520x520")
    return int(match[2]), int(match[1])


def time_engines(
    case: Case,
    engines: Sequence[str],
    rounds: int,
    limit: float,
    progress: Callable[[str], None],
) -> Iterator[Row]:
    """Let engines take turns at a case, with plain PyTorch and products of matrices.

    Each is in a process of its own. Engines enlarge through the `Upscaler`;
    plain PyTorch is left out where it would need too much. Networks
    that come without weights are new. `limit` is in seconds, as in `measure`.
    """
    net: Any = _network(case.model)
    names = list(engines)
    if "openvino" in names and _openvino("auto").int8_graph(net, case.scale).exists():
        names.append(NATIVE)
    if _plain_fits(net, case):
        names.append(PLAIN)
    with ExitStack() as processes:
        subjects: dict[str, Apart[Any]] = {}
        for name in names:
            subjects[name] = processes.enter_context(Apart(make_subject, (case, name)))
        # Emulated, a single product in bfloat16 took a minute (2 cores with AVX2).
        kinds = {"fp32": torch.float32, **({"bf16": torch.bfloat16} if has_native_bf16() else {})}
        products = {
            f"peak {name}": processes.enter_context(Apart(matmul, kind))
            for name, kind in kinds.items()
        }
        everything: dict[str, Subject] = {**subjects, **products}
        timings = measure(everything, rounds, limit, lambda name: progress(f"{case}: {name}"))
        peaks = {name: 2e-9 * PEAK_MULTIPLY_ADDS / timings[f"peak {name}"].median for name in kinds}
        for name in names:
            precision, agreement = "fp32", None
            if name != PLAIN:
                precision, agreement = _agreement(net, case.scale, name, case.max_memory)
            label = f"{name.removesuffix(' native')} {precision}"
            row = _row(case, label, timings[name], net, subjects[name])
            peak = peaks.get(precision)
            share = round((row.gflops or 0) / peak, 4) if peak else None
            yield row.model_copy(update={"share": share, "agreement": agreement})


def _row(case: Case, subject: str, timing: Timing, net: Any, process: Apart[Any]) -> Row:
    area = case.height * case.width
    row = make_row(
        str(case),
        subject,
        timing,
        multiply_adds=trace(net, case.scale).macs * area,
        memory=process.peak_memory(),
    )
    return row.model_copy(update={"megapixels": case.scale**2 * area / 1e6})


def make_subject(request: tuple[Case, str]) -> Subject:
    """Make what enlarges a picture of noise in each call, and gives nothing back."""
    case, engine = request
    net: Any = _network(case.model)
    if engine == PLAIN:
        x = torch.rand(1, 3, case.height, case.width, generator=torch.Generator().manual_seed(0))

        def plain() -> None:
            with torch.inference_mode():
                net(x, case.scale)

        return plain
    upscaler = Upscaler(net, case.model, "", case.max_memory, _engine(net, engine, case.max_memory))
    shape = case.height, case.width, 3
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def enlarge() -> None:
        upscaler.upscale(picture, case.scale)

    return enlarge


def _engine(net: nn.Module, name: str, max_memory: int) -> Engine:
    if name == NATIVE:
        return PlannedEngine(net, max_memory, _openvino("native"))
    return make_engine(net, max_memory, name)


def _openvino(precision: Literal["auto", "native"]) -> OpenVinoRunner:
    from prosr.inference.engines.openvino import OpenVinoRunner  # only where it is installed

    return OpenVinoRunner(precision)


def _network(model: str) -> nn.Module:
    torch.manual_seed(0)
    return find_or_build(model).net


def _plain_fits(net: Any, case: Case) -> bool:
    x = torch.zeros(1, 3, _PROBE, _PROBE)
    each = observe(lambda x: net(x, case.scale), x).bytes / _PROBE**2
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return each * case.height * case.width < _PLAIN_SHARE * machine


def _agreement(net: nn.Module, scale: int, engine: str, max_memory: int) -> tuple[str, float]:
    """An engine's precision, and its PSNR in dB against PyTorch, at most 200."""
    x = torch.rand(1, 3, *_CROP, generator=torch.Generator().manual_seed(0))
    made = _engine(net, engine, max_memory)
    with torch.inference_mode():
        error = (made(x, scale) - make_engine(net, max_memory, "torch")(x, scale)).square().mean()
    return made.precision, round(-10 * math.log10(max(error.item(), 1e-20)), 1)
