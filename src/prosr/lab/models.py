"""What every system takes to enlarge a picture, in the sizes of the paper (table 1, section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from prosr.config import PRESETS, preset
from prosr.errors import ConfigError
from prosr.inference.memory import release_freed_memory
from prosr.inference.upscaler import SCORING_MEMORY, Upscaler
from prosr.lab.apart import peak_memory
from prosr.lab.records import Row, make_row
from prosr.lab.rounds import measure
from prosr.nets.build import build
from prosr.nets.cost import trace
from prosr.scales import Scale


@dataclass(frozen=True)
class Case:
    """A square picture of `side` pixels, enlarged by `scale`."""

    side: int
    scale: Scale

    def __str__(self) -> str:
        return f"{self.side}×{self.side} ×{self.scale}"


CASES = (Case(128, 4), Case(520, 2), Case(520, 4), Case(520, 8))
"""Table 1's, and those of section 5."""


def systems(case: Case) -> list[str]:
    """The presets that have the case's scale; table 1's networks in table 1's case alone.

    A LapSRN is made for its largest scale.
    """
    names = []
    for name, config in PRESETS.items():
        scales = config.timed_at
        is_ablation = name.startswith("table")
        if case.scale in scales and (case == CASES[0] or not is_ablation):
            names.append(name)
    return names


def time_models(
    cases: Sequence[Case],
    models: Sequence[str] | None,
    engine: str,
    rounds: int,
    limit: float,
    with_memory: bool,
    progress: Callable[[str], None],
) -> list[Row]:
    """Let models take turns at each case; the fastest comes first.

    The networks are new: how long they take does not depend on what they have learnt. Before
    each round a model enlarges once more, since others had its memory in the meantime.
    They enlarge through the `Upscaler` on `engine`, within `SCORING_MEMORY`. `models` are
    names of presets, those of `systems` for None; raises `ConfigError` for an unknown one
    and where none has any of the scales. `limit` is in seconds, as in `measure`; the memory
    of one that takes ten times as long is not measured, which would be once more as long.
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
    case: Case,
    names: Sequence[str],
    engine: str,
    rounds: int,
    limit: float,
    with_memory: bool,
    progress: Callable[[str], None],
) -> list[Row]:
    subjects = {name: Enlarging((name, case, engine)) for name in names}

    def prepare(name: str, again: bool) -> None:
        for other in subjects.keys() - {name}:
            subjects[other].rest()
        subjects[name].wake()
        if again:
            subjects[name]()

    timings = measure(subjects, rounds, limit, lambda name: progress(f"{case}: {name}"), prepare)
    for subject in subjects.values():
        subject.rest()
    rows = []
    for name in names:
        memory = None
        if with_memory and timings[name].best <= 10 * limit:
            progress(f"{case}: memory of {name}")
            memory = peak_memory(Enlarging, (name, case, engine))
        net = build(preset(name))
        row = make_row(
            str(case),
            name,
            timings[name],
            multiply_adds=trace(net, case.scale).macs * case.side**2,
            memory=memory,
            parameters=net.parameter_count(net.scales[-1]),
        )
        rows.append(row.model_copy(update={"engine": subjects[name].computed_by}))
    return sorted(rows, key=lambda row: row.seconds)


class Enlarging:
    """A new network of a preset, which enlarges a picture of noise in each call.

    An engine keeps the memory that it computes in, up to 8 GB: a dozen of them together were
    more than 24. One that rests has given it back.
    """

    def __init__(self, request: tuple[str, Case, str]) -> None:
        self.name, self._case, self._engine = request
        shape = (self._case.side, self._case.side, 3)
        self._picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        with torch.random.fork_rng():
            torch.manual_seed(0)  # Engines keep what they make of a network; of this, once.
            self._net = build(preset(self.name)).eval()
        self._upscaler: Upscaler | None = None
        self.computed_by = ""
        """The engine and its precision, once it has run."""

    def wake(self) -> Upscaler:
        """Make the engine, if it is not there."""
        if self._upscaler is None:
            self._upscaler = Upscaler(self._net, self.name, "", SCORING_MEMORY, self._engine)
        return self._upscaler

    def rest(self) -> None:
        """Let the engine go."""
        if self._upscaler is not None:
            self._upscaler = None
            release_freed_memory()

    def __call__(self) -> None:
        upscaler = self.wake()
        upscaler.upscale(self._picture, self._case.scale)
        self.computed_by = upscaler.work.computed_by


def speeds(rows: Iterable[Row]) -> dict[tuple[str, Scale], float]:
    """Seconds for a megapixel of the result, by model and scale, of the largest `CASES`."""
    cases = {str(case): case for case in CASES if case.side == CASES[-1].side}
    found = {}
    for row in rows:
        if case := cases.get(row.case):
            megapixels = (case.scale * case.side) ** 2 / 1e6
            found[row.subject, case.scale] = round(row.seconds / megapixels, 4)
    return found
