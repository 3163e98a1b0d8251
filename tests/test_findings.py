"""Verdicts on the paper's findings, by the 95 % interval."""

import pytest

from made_outcome import row, run
from prosr.lab.findings import findings, to_markdown, verdict
from prosr.lab.outcome import Outcome
from prosr.lab.statistics import spread


@pytest.mark.parametrize(
    "gains,expected",
    [
        ({}, "not tried"),
        ({0: 9.0}, "open"),
        # t is 4.303 for three seeds: the mean must exceed 2.484 deviations.
        ({0: 0.25, 1: 0.35, 2: 0.15}, "holds"),
        ({0: 0.24, 1: 0.34, 2: 0.14}, "open"),
        ({0: -0.25, 1: -0.35, 2: -0.15}, "does not hold"),
        # and 12.706 for two.
        ({0: 0.1, 1: 0.2}, "open"),
        ({0: 0.10, 1: 0.11}, "holds"),
    ],
)
def test_a_finding_holds_if_the_interval_of_its_gain_is_above_zero(
    gains: dict[int, float], expected: str
) -> None:
    assert verdict(spread(gains)) == expected


def test_claims_are_judged_on_the_cells_they_are_about() -> None:
    cells = {"curriculum": (26.0, 26.5), "simultaneous": (25.9, 26.4), "single-x8": (27.0, 27.5)}
    runs = [run(cell, seed) for cell in cells for seed in (0, 1)]
    rows = [
        row(f"{cell}/seed-{seed}", "BSD100", 8, psnr)
        for cell, values in cells.items()
        for seed, psnr in enumerate(values)
    ]
    found = findings(Outcome(tuple(runs), tuple(rows)))
    verdicts = {one.claim: one.verdict for one in found if one.gain}
    assert verdicts == {
        "the curriculum is better than training for ×8 alone": "does not hold",
        "the curriculum is better than simultaneous training at ×8": "holds",
    }
    assert "at ×8 | *+0.01* | +0.10 ± 0.00 (2) | holds |" in to_markdown(found)
