"""Means over seeds with their deviation, gains per seed, and whether a gain is significant."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from prosr.lab.tables import NOTHING
from prosr.layouts import Frozen

Verdict = Literal["holds", "does not hold", "open", "not tried"]

# Student's t for 95 % within ± t, by degrees of freedom; more seeds count as ten.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


class Spread(Frozen):
    """Mean over seeds, and the standard deviation of a single seed; None for one seed."""

    mean: float
    deviation: float | None
    seeds: tuple[int, ...]


def spread(values: Mapping[int, float]) -> Spread | None:
    """The spread of values by seed, None if there are none."""
    if not values:
        return None
    numbers = [values[seed] for seed in sorted(values)]
    deviation = round(stdev(numbers), 4) if len(numbers) > 1 else None
    return Spread(mean=round(fmean(numbers), 4), deviation=deviation, seeds=tuple(sorted(values)))


def gain(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Spread | None:
    """The spread of ours − theirs over the seeds that both have.

    Runs with the same seed draw the same patches while their schedules agree. Pairing them
    removes a part of the randomness from the difference.
    """
    return spread({seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs})


def shown(value: Spread | None, sign: bool = False) -> str:
    """Mean, deviation and number of seeds as "28.41 ± 0.03 (3)"; `sign` is for gains."""
    if value is None:
        return NOTHING
    rounded = round(value.mean, 2) + 0.0  # no "-0.00"
    mean = f"{rounded:+.2f}" if sign else f"{rounded:.2f}"
    deviation = "" if value.deviation is None else f" ± {value.deviation:.2f}"
    return f"{mean}{deviation} ({len(value.seeds)})"


def verdict(value: Spread | None) -> Verdict:
    """Whether a gain is above zero, by the 95 % interval of its mean over seeds.

    It is open if the interval contains zero, or if there is only one seed.
    """
    if value is None:
        return "not tried"
    if value.deviation is None:
        return "open"
    count = len(value.seeds)
    half_width = _T[min(count - 1, max(_T))] * value.deviation / sqrt(count)
    if abs(value.mean) <= half_width:
        return "open"
    return "holds" if value.mean > 0 else "does not hold"
