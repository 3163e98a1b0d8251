"""A number with its spread over seeds; a difference of two is taken seed by seed."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, stdev

from prosr.evaluation.tables import NOTHING
from prosr.layouts import Frozen


class Spread(Frozen):
    """Mean over seeds and the standard deviation of one seed, None where there is but one."""

    mean: float
    deviation: float | None
    seeds: tuple[int, ...]

    def text(self, sign: bool = False) -> str:
        """As "28.41 ± 0.03 (3)": mean, deviation, number of seeds; a gain has its sign."""
        rounded = round(self.mean, 2) + 0.0  # no "-0.00"
        mean = f"{rounded:+.2f}" if sign else f"{rounded:.2f}"
        spread = "" if self.deviation is None else f" ± {self.deviation:.2f}"
        return f"{mean}{spread} ({len(self.seeds)})"


def spread(values: Mapping[int, float]) -> Spread | None:
    """The spread of a value for each seed, None if there is none."""
    if not values:
        return None
    numbers = [values[seed] for seed in sorted(values)]
    deviation = round(stdev(numbers), 4) if len(numbers) > 1 else None
    return Spread(mean=round(fmean(numbers), 4), deviation=deviation, seeds=tuple(sorted(values)))


def gain(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """The spread of ours − theirs over the seeds that both have.

    Runs of one seed draw the same patches where their schedules agree, so that pairing them
    takes a part of the chance out of the difference.
    """
    return spread({seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs})


def shown(value: Spread | None, sign: bool = False) -> str:
    """A table's cell."""
    return NOTHING if value is None else value.text(sign)
