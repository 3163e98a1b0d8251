"""Time of every system on the pictures that the paper times (table 1, section 5)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from prosr.config import PRESETS, preset
from prosr.errors import ConfigError
from prosr.evaluation.scoring import SCORING_MEMORY
from prosr.evaluation.timing import measure
from prosr.inference.loading import check_engine
from prosr.inference.memory import release_freed_memory
from prosr.inference.upscaler import Upscaler
from prosr.lab.engines import open_network
from prosr.lab.isolated import Isolated
from prosr.lab.measurements import TimingRow, measured
from prosr.layouts import LapSRNConfig
from prosr.nets.build import build
from prosr.nets.cost import trace
from prosr.scales import Scale


@dataclass(frozen=True)
class ModelCase:
    """A square picture of `side` pixels, and a scale."""

    side: int
    scale: Scale

    def __str__(self) -> str:
        return f"{self.side}×{self.side} ×{self.scale}"


CASES = (ModelCase(128, 4), ModelCase(520, 2), ModelCase(520, 4), ModelCase(520, 8))
"""The case of Table 1, and those of section 5."""


def systems(case: ModelCase) -> list[str]:
    """Presets that have the case's scale; Table 1's networks only in Table 1's case.

    A LapSRN is listed for its largest scale only.
    """
    names = []
    for name, layout in PRESETS.items():
        is_ablation = name.startswith("table")
        own = layout.scales[-1:] if isinstance(layout, LapSRNConfig) else layout.scales
        if case.scale in own and (case == CASES[0] or not is_ablation):
            names.append(name)
    return names


def time_models(
    cases: Sequence[ModelCase],
    models: Sequence[str] | None,
    engine: str,
    rounds: int,
    limit: float,
    with_memory: bool,
    progress: Callable[[str], None],
) -> list[TimingRow]:
    """Time models in turns at each case, and return each case's rows, the fastest first.

    The networks are untrained, which does not change their time. They upscale through the
    `Upscaler` on `engine` with `SCORING_MEMORY`. Each timed call follows an untimed one, because
    other models used the memory in between. `models` are presets, by default those of `systems`.
    `limit` is in seconds, as in `measure`. Memory includes PyTorch, which exports the graphs; it is
    not measured for a model that takes more than ten times `limit`. Raises `ConfigError` for an
    unknown preset, and if no model has any of the scales.
    """
    chosen = {case: systems(case) for case in cases}
    if models is not None:
        layouts = {name: preset(name) for name in models}
        chosen = {c: [m for m in models if c.scale in layouts[m].scales] for c in cases}
    if not any(chosen.values()):
        scales = ", ".join(str(scale) for scale in dict.fromkeys(case.scale for case in cases))
        raise ConfigError(f"none of {', '.join(models or ())} has scale {scales}")
    rows = []
    for case, names in chosen.items():
        rows += _time_case(case, names, engine, rounds, limit, with_memory, progress)
    return rows


def _time_case(
    case: ModelCase,
    names: Sequence[str],
    engine: str,
    rounds: int,
    limit: float,
    with_memory: bool,
    progress: Callable[[str], None],
) -> list[TimingRow]:
    subjects = {name: ModelSubject((name, case, engine)) for name in names}

    def prepare(name: str) -> None:
        progress(f"{case}: {name}")
        for other in subjects.keys() - {name}:
            subjects[other].unload()
        again = subjects[name].computed_by != ""
        subjects[name].load()
        if again:
            subjects[name]()

    timings = measure(subjects, rounds, limit, prepare)
    for subject in subjects.values():
        subject.unload()
    rows = []
    for name in names:
        memory = None
        if with_memory and min(timings[name].seconds) <= 10 * limit:
            progress(f"{case}: memory of {name}")
            memory = peak_memory((name, case, engine))
        net = build(preset(name))
        rows.append(
            TimingRow(
                case=str(case),
                subject=name,
                multiply_adds=trace(net, case.scale).macs * case.side**2,
                memory=memory,
                parameters=sum(parameter.numel() for parameter in net.parameters()),
                engine=subjects[name].computed_by,
                **measured(timings[name]),
            )
        )
    return sorted(rows, key=lambda row: row.seconds)


class ModelSubject:
    """A subject that upscales a picture of noise with an untrained network of a preset.

    Engines keep up to 8 GB for their results; a dozen of them together took more than 24 GB.
    `unload` frees that memory.
    """

    def __init__(self, request: tuple[str, ModelCase, str]) -> None:
        self.name, self._case, engine = request
        self._engine = check_engine(engine)
        shape = (self._case.side, self._case.side, 3)
        self._picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._net = build(preset(self.name)).eval()
        graphs = TemporaryDirectory()
        weakref.finalize(self, graphs.cleanup)
        self._graphs = Path(graphs.name)
        self._upscaler: Upscaler | None = None
        self.computed_by = ""
        """The engine and its precision, after the first call."""

    def load(self) -> Upscaler:
        """Make the engine, unless it exists."""
        if self._upscaler is None:
            engine = open_network(self._net, self.name, self._engine, SCORING_MEMORY, self._graphs)
            self._upscaler = Upscaler(engine, self.name, "")
        return self._upscaler

    def unload(self) -> None:
        """Free the engine."""
        if self._upscaler is not None:
            self._upscaler = None
            release_freed_memory()

    def __call__(self) -> None:
        upscaler = self.load()
        upscaler.upscale(self._picture, self._case.scale)
        self.computed_by = upscaler.work.computed_by


def peak_memory(request: tuple[str, ModelCase, str]) -> int:
    """Peak resident bytes of a fresh process that upscales once."""
    with Isolated(ModelSubject, request) as subject:
        subject()
        return subject.peak_memory()


def speeds(rows: Iterable[TimingRow]) -> dict[tuple[str, Scale], float]:
    """Seconds per megapixel of output by model and scale, from the largest of `CASES`."""
    cases = {str(case): case for case in CASES if case.side == CASES[-1].side}
    found = {}
    for row in rows:
        if case := cases.get(row.case):
            megapixels = (case.scale * case.side) ** 2 / 1e6
            found[row.subject, case.scale] = round(row.seconds / megapixels, 4)
    return found
