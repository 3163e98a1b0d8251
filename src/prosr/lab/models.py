"""Time of every system on the pictures that the paper times (table 1, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from prosr.checkpoints.finding import find_or_build
from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.evaluation.scoring import SCORING_MEMORY
from prosr.evaluation.timing import measure
from prosr.inference.loading import check_engine
from prosr.lab.engines import EngineCase, make_subject
from prosr.lab.isolated import Isolated
from prosr.lab.measurements import TimingRow, measured
from prosr.layouts import LapSRNConfig
from prosr.nets.cost import trace
from prosr.nets.network import Network
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
    progress: Callable[[str], None],
) -> list[TimingRow]:
    """Time models in turns at each case, and return each case's rows, the fastest first.

    `models` are presets or files of weights, by default the presets of `systems`. Presets without
    bundled weights get random ones, which does not change their time. `limit` is in seconds, as in
    `measure`. Raises `ConfigError` for an unknown model, and if none has any of the scales.
    """
    chosen = {case: systems(case) for case in cases}
    wanted = models or [name for names in chosen.values() for name in names]
    nets = {name: find_or_build(name).net for name in dict.fromkeys(wanted)}
    if models is not None:
        chosen = {c: [m for m in models if c.scale in nets[m].scales] for c in cases}
    if not any(chosen.values()):
        scales = ", ".join(str(scale) for scale in dict.fromkeys(case.scale for case in cases))
        raise ConfigError(f"none of {', '.join(models or ())} has scale {scales}")
    rows = []
    for case, names in chosen.items():
        its = {name: nets[name] for name in names}
        rows += _time_case(case, its, check_engine(engine), rounds, limit, progress)
    return rows


def _time_case(
    case: ModelCase,
    nets: dict[str, Network],
    engine: str,
    rounds: int,
    limit: float,
    progress: Callable[[str], None],
) -> list[TimingRow]:
    """Time models in turns through the `Upscaler`, each call in a process of its own.

    Engines keep up to `SCORING_MEMORY` for their results, too much for all models at a time. From
    the second round on, each timed call follows an untimed one.
    """
    known: dict[str, tuple[str, int | None]] = {}
    process = ExitStack()
    running: dict[str, Isolated[Any]] = {}

    def prepare(name: str) -> None:
        progress(f"{case}: {name}")
        process.close()
        request = EngineCase(name, case.scale, case.side, case.side, SCORING_MEMORY)
        running[name] = process.enter_context(Isolated(make_subject, (request, engine)))
        if name in known:
            running[name]()

    def call(name: str) -> None:
        known[name] = cast(tuple[str, int | None], running[name]())

    with process:
        timings = measure({name: partial(call, name) for name in nets}, rounds, limit, prepare)
    rows = [
        TimingRow(
            case=str(case),
            subject=title(name),
            multiply_adds=trace(net, case.scale).macs * case.side**2,
            memory=known[name][1],
            parameters=sum(parameter.numel() for parameter in net.parameters()),
            engine=known[name][0],
            **measured(timings[name]),
        )
        for name, net in nets.items()
    ]
    return sorted(rows, key=lambda row: row.seconds)


def title(model: str) -> str:
    """The name of a model in rows of times and scores; a file's name without its suffix."""
    return Path(model).stem if Path(model).is_file() else model


def speeds(rows: Iterable[TimingRow]) -> dict[tuple[str, Scale], float]:
    """Seconds per megapixel of output by model and scale, from the largest of `CASES`."""
    cases = {str(case): case for case in CASES if case.side == CASES[-1].side}
    found = {}
    for row in rows:
        if case := cases.get(row.case):
            megapixels = (case.scale * case.side) ** 2 / 1e6
            found[row.subject, case.scale] = round(row.seconds / megapixels, 4)
    return found
