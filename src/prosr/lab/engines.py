"""Time of every engine on the same picture, with plain PyTorch and the machine's peak speed.

PyTorch is imported inside functions: the peak memory of an engine's process must not include
it.
"""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.evaluation.timing import Subject, measure
from prosr.inference.engine import Engine
from prosr.inference.loading import find_model, open_engine
from prosr.inference.memory import peak_memory
from prosr.inference.upscaler import Upscaler
from prosr.lab.isolated import Isolated
from prosr.lab.measurements import PEAK_MACS, TimingRow, fast_types, matrix_products, measured
from prosr.models import bundled_models
from prosr.scales import Scale

if TYPE_CHECKING:
    from prosr.nets.network import Network

PLAIN = "plain PyTorch"
"""The network itself: eager, float32, contiguous, on the whole picture."""

USUAL_MEMORY = 2_000_000_000
"""Default memory limit per engine in bytes. A case states its limit only if it differs."""

_CROP = (96, 80)
"""Height and width of the picture on which engines are compared with PyTorch."""

_PLAIN_SHARE = 0.4
"""Share of the machine's memory that plain PyTorch may need; above it, it is skipped."""


@dataclass(frozen=True)
class EngineCase:
    """A picture, a model and a scale; `max_memory` is the limit of each engine in bytes."""

    model: str
    scale: Scale
    height: int
    width: int
    max_memory: int = USUAL_MEMORY

    def __str__(self) -> str:
        within = "" if self.max_memory == USUAL_MEMORY else f", {self.max_memory / 1e9:g} GB"
        return f"{self.model} ×{self.scale}, {self.width}×{self.height}{within}"


def parse_picture(text: str) -> tuple[int, int]:
    """Height and width of a size such as "4000x3000", where the width comes first."""
    match = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)
    if match is None:
        raise ConfigError(f"{text!r} is not a picture's size; write for example 520x520")
    return int(match[2]), int(match[1])


def time_engines(
    case: EngineCase,
    engines: Sequence[str],
    rounds: int,
    limit: float,
    progress: Callable[[str], None],
) -> Iterator[TimingRow]:
    """Time engines in turns with plain PyTorch and matrix products, and yield one row each.

    Each runs in its own process. Engines upscale through the `Upscaler`. Plain PyTorch is skipped
    if it would need too much memory. Networks without bundled weights get random weights. `limit`
    is in seconds, as in `measure`.
    """
    from prosr.nets.cost import trace

    cost = trace(_network(case), case.scale)
    names, area = list(engines), case.height * case.width
    if _plain_fits(case, cost.bytes):
        names.append(PLAIN)
    with ExitStack() as processes:
        subjects: dict[str, Isolated[Any]] = {
            name: processes.enter_context(Isolated(make_subject, (case, name))) for name in names
        }
        products = {
            f"peak {name}": processes.enter_context(Isolated(matrix_products, name))
            for name in fast_types()
        }
        everything: dict[str, Subject] = {**subjects, **products}
        timings = measure(everything, rounds, limit, lambda name: progress(f"{case}: {name}"))
        for name in names:
            precision, agreement = "fp32", None
            if name != PLAIN:
                precision, agreement = _agreement(case, name)
            macs, timing = cost.macs * area, timings[name]
            peak = timings.get(f"peak {precision}")
            share = macs / timing.median / (PEAK_MACS / peak.median) if peak else None
            yield TimingRow(
                case=str(case),
                subject=f"{name} {precision}",
                multiply_adds=macs,
                memory=subjects[name].peak_memory(),
                megapixels=case.scale**2 * area / 1e6,
                share=None if share is None else round(share, 4),
                agreement=agreement,
                **measured(timing),
            )


def _plain_fits(case: EngineCase, bytes_per_pixel: int) -> bool:
    needed = bytes_per_pixel * case.height * case.width
    return needed < _PLAIN_SHARE * psutil.virtual_memory().total


def make_subject(request: tuple[EngineCase, str]) -> Subject:
    """Make a subject that upscales a picture of noise.

    It returns the engine with its precision, and the peak memory of the process in bytes.
    """
    case, engine = request
    if engine == PLAIN:
        return _make_plain(case)
    folder = TemporaryDirectory()
    upscaler = Upscaler(_engine(case, engine, Path(folder.name)), case.model, "")
    weakref.finalize(upscaler, folder.cleanup)
    shape = case.height, case.width, 3
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    def upscale() -> tuple[str, int | None]:
        upscaler.upscale(picture, case.scale)
        return upscaler.work.computed_by, peak_memory()

    return upscale


def _make_plain(case: EngineCase) -> Subject:
    import torch

    net = _network(case)
    x = torch.rand(1, 3, case.height, case.width, generator=torch.Generator().manual_seed(0))

    def plain() -> None:
        with torch.inference_mode():
            net(x, case.scale)

    return plain


def _engine(case: EngineCase, name: str, folder: Path) -> Engine:
    """An engine by name for a case; the graphs of an untrained network go into `folder`."""
    if name == "torch":
        from prosr.inference.engines.torch import TorchEngine, best_device

        return TorchEngine(_network(case), case.max_memory, best_device())
    if case.model not in PRESETS or case.model in bundled_models():
        return open_engine(find_model(case.model), case.max_memory, name)
    from prosr.checkpoints.graphs import write_graphs

    model = write_graphs(_network(case), case.model, "", folder, None)
    return open_engine(model, case.max_memory, name)


def _network(case: EngineCase) -> Network:
    import torch

    from prosr.checkpoints.finding import find_or_build

    torch.manual_seed(0)
    return find_or_build(case.model).net


def _agreement(case: EngineCase, engine: str) -> tuple[str, float]:
    """An engine's precision, and its PSNR against PyTorch in dB, at most 200."""
    x = np.random.default_rng(0).random((1, 3, *_CROP), np.float32)
    with TemporaryDirectory() as folder:
        made, reference = (_engine(case, name, Path(folder)) for name in (engine, "torch"))
        error = float(np.square(made(x, case.scale) - reference(x, case.scale)).mean())
    return made.precision, round(-10 * math.log10(max(error, 1e-20)), 1)
