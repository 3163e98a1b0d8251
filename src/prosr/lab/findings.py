"""Which of the paper's findings hold for the runs trained here, by one rule for all."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

from prosr.evaluation.tables import markdown
from prosr.lab.outcome import Outcome
from prosr.lab.printed import TABLE_1, TABLE_2
from prosr.lab.statistics import Spread, gain, shown
from prosr.layouts import Frozen
from prosr.scales import SCALES, Scale

Verdict = Literal["holds", "does not hold", "open", "not tried"]

# Student's t for 95 % within ± t, by degrees of freedom; more seeds count as ten.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


class Finding(Frozen):
    """What the paper found, its gain in dB, ours, and whether ours says the same."""

    claim: str
    printed: float | None
    gain: Spread | None
    verdict: Verdict


def verdict(value: Spread | None) -> Verdict:
    """Whether a gain is above zero: judged by the 95 % interval of its mean over seeds.

    An interval that has zero inside leaves it open, as a single seed does.
    """
    if value is None:
        return "not tried"
    if value.deviation is None:
        return "open"
    count = len(value.seeds)
    reach = _T[min(count - 1, max(_T))] * value.deviation / sqrt(count)
    if abs(value.mean) <= reach:
        return "open"
    return "holds" if value.mean > 0 else "does not hold"


def findings(outcome: Outcome) -> tuple[Finding, ...]:
    """Judge the claims of sections 4.1 and 4.2, on Set14 as Table 1 or on all pictures."""

    def judged(
        claim: str,
        ours: str,
        theirs: str,
        scale: Scale,
        printed: float | None,
        sets: Sequence[str] = outcome.sets,
    ) -> Finding:
        value = gain(outcome.psnr(ours, scale, sets), outcome.psnr(theirs, scale, sets))
        return Finding(claim=claim, printed=printed, gain=value, verdict=verdict(value))

    steps = (
        ("DCUs are better than a single dense block", "dcus", "block"),
        ("the asymmetric pyramid is better than direct enlarging", "single-x4", "dcus"),
        ("training for all scales by the curriculum gains at ×4", "curriculum", "single-x4"),
        ("the very deep network is better", "very-deep", "curriculum"),
    )
    found = [
        judged(claim, ours, before, 4, TABLE_1[ours][0] - TABLE_1[before][0], ["Set14"])
        for claim, ours, before in steps
    ]
    for scale in SCALES:
        alone, printed = f"single-x{scale}", TABLE_2["curriculum", scale]["average"]
        claim = f"the curriculum is better than training for ×{scale} alone"
        found.append(judged(claim, "curriculum", alone, scale, printed))
        printed -= TABLE_2["simultaneous", scale]["average"]
        claim = f"the curriculum is better than simultaneous training at ×{scale}"
        found.append(judged(claim, "curriculum", "simultaneous", scale, printed))
    claim = "ProSR is better than the Laplacian pyramid"
    found.append(judged(f"{claim}, ×4 alone", "single-x4", "laplacian-x4", 4, None))
    for scale in SCALES:
        found.append(judged(f"{claim} at ×{scale}", "curriculum", "laplacian", scale, None))
    return tuple(found)


def to_markdown(found: Sequence[Finding]) -> str:
    """A table of claims, gains and verdicts, with the rule below."""
    lines = [
        [
            one.claim,
            "" if one.printed is None else f"*{one.printed:+.2f}*",
            shown(one.gain, sign=True),
            one.verdict,
        ]
        for one in found
    ]
    caption = (
        "Gains in dB, mean ± standard deviation (seeds). A finding holds if the 95 % interval "
        "of the mean (Student's t) lies above zero, does not hold if it lies below, and is "
        "open otherwise."
    )
    return markdown(["finding", "*printed*", "here", "verdict"], lines) + f"\n\n{caption}"
