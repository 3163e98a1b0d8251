"""The paper's tables and findings from runs made by hand, against gains computed by hand."""

import json
from pathlib import Path

import pytest

from made_outcome import row, run
from prosr.lab.ablation import Ablation, ablation, findings
from prosr.lab.outcome import ComparisonOutcome, ValidationPoint
from prosr.lab.published import TABLE_1
from prosr.lab.reports import findings_table, to_markdown, write_ablation


def points(*psnr: float, offset: float = 0.0) -> list[ValidationPoint]:
    return [
        ValidationPoint(step=10 * i, seconds=60.0 * i + offset, psnr={2: value})
        for i, value in enumerate(psnr, 1)
    ]


@pytest.fixture
def outcome() -> ComparisonOutcome:
    """Two seeds of the curriculum, of ×2 and ×4 alone and of the pyramid; one of `dcus`."""
    runs = [run(cell, seed) for cell in ("single-x2", "single-x4") for seed in (0, 1)]
    runs += [run("curriculum", 0, points(30.0, 31.0)), run("curriculum", 1, points(32.0, 33.0))]
    runs += [run("dcus", 0), run("laplacian-x4", 0), run("laplacian-x4", 1)]
    rows = [
        row("dcus/seed-0", "Set14", 4, 27.0),
        row("single-x4/seed-0", "Set14", 4, 27.5),
        row("single-x4/seed-1", "Set14", 4, 28.5),
        row("curriculum/seed-0", "Set14", 4, 27.6),
        row("curriculum/seed-1", "Set14", 4, 28.8),
        row("laplacian-x4/seed-0", "Set14", 4, 27.4),
        row("laplacian-x4/seed-1", "Set14", 4, 28.4),
        # Three pictures and one: the average is over pictures, not over sets.
        row("single-x2/seed-0", "BSD100", 2, 30.0, 30.0, 30.0),
        row("single-x2/seed-0", "Set14", 2, 30.0),
        row("single-x2/seed-1", "BSD100", 2, 30.0, 30.0, 30.0),
        row("single-x2/seed-1", "Set14", 2, 30.0),
        row("curriculum/seed-0", "BSD100", 2, 30.4, 30.4, 30.4),
        row("curriculum/seed-0", "Set14", 2, 30.0),
        row("curriculum/seed-1", "BSD100", 2, 30.0, 30.0, 30.0),
        row("curriculum/seed-1", "Set14", 2, 30.8),
    ]
    return ComparisonOutcome(tuple(runs), tuple(rows))


@pytest.fixture
def known(outcome: ComparisonOutcome) -> Ablation:
    return ablation(outcome)


def test_table_1_has_the_gain_over_the_row_above(known: Ablation) -> None:
    block, dcus, asymmetric, curriculum, deep = known.table_1
    assert block.psnr is None and block.gain is None and deep.psnr is None
    assert dcus.psnr is not None and dcus.psnr.deviation is None and dcus.gain is None
    assert asymmetric.gain is not None
    assert (asymmetric.gain.mean, asymmetric.gain.seeds) == (0.5, (0,))
    assert curriculum.psnr is not None and curriculum.psnr.mean == 28.2
    assert curriculum.gain is not None
    assert (curriculum.gain.mean, curriculum.gain.deviation) == (0.2, 0.1414)
    assert asymmetric.parameters == 4000


def test_table_2_averages_over_pictures_and_pairs_seeds(known: Ablation) -> None:
    line = next(r for r in known.table_2 if (r.cell, r.scale) == ("curriculum", 2))
    gains = {name: value.mean for name, value in line.gains.items() if value}
    assert gains == {"Set14": 0.4, "BSD100": 0.2}
    assert line.average is not None
    assert (line.average.mean, line.average.deviation) == (0.25, 0.0707)
    assert line.printed["average"] == 0.13
    simultaneous = next(r for r in known.table_2 if (r.cell, r.scale) == ("simultaneous", 2))
    assert simultaneous.average is None


def test_table_3_compares_ours_with_the_alternative(known: Ablation) -> None:
    line = next(r for r in known.table_3 if (r.training, r.set) == ("single scale", "Set14"))
    assert line.gain is not None
    assert (line.gain.mean, line.gain.deviation) == (0.1, 0.0)
    assert line.printed == (28.41, 28.20)


def test_figure_4_has_the_mean_over_seeds_at_each_step(outcome: ComparisonOutcome) -> None:
    late = run("curriculum", 1, points(32.0, 33.0, offset=6.0))
    runs = tuple(late if one.name == late.name else one for one in outcome.runs)
    curves = ablation(ComparisonOutcome(runs, ())).figure_4
    curve = next(c for c in curves if (c.cell, c.scale) == ("curriculum", 2))
    assert [(p.step, p.seconds, p.psnr.mean) for p in curve.points] == [
        (10, 63.0, 31.0),
        (20, 123.0, 32.0),
    ]
    assert not next(c for c in curves if (c.cell, c.scale) == ("simultaneous", 8)).points


def test_the_markdown_shows_gains_with_deviation_and_seeds(known: Ablation) -> None:
    text = to_markdown(known)
    assert "| with curriculum | 0.00 M | 28.20 ± 0.85 (2) | +0.20 ± 0.14 (2) |" in text
    assert "| ×2 | curriculum | +0.40 ± 0.57 (2) *+0.08* | +0.20 ± 0.28 (2) *+0.07* |" in text
    assert text.count("*28.41*") == 2


def test_no_finished_run_gives_empty_tables() -> None:
    text = to_markdown(ablation(ComparisonOutcome((), ())))
    assert all(f"*{printed:.2f}*" in text for printed, _ in TABLE_1.values())


def test_the_same_outcome_gives_the_same_files(outcome: ComparisonOutcome, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_ablation(outcome, tmp_path / name)
    for name in ("tables.json", "tables.md", "figure-4.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    stored = json.loads((tmp_path / "one" / "tables.json").read_text())
    assert stored["table_1"][3]["gain"] == {"mean": 0.2, "deviation": 0.1414, "seeds": [0, 1]}
    figure = (tmp_path / "one" / "figure-4.svg").read_text()
    assert figure.count("<svg") == 1
    assert "dc:date" not in figure


def test_claims_are_judged_on_the_cells_they_are_about() -> None:
    cells = {"curriculum": (26.0, 26.5), "simultaneous": (25.9, 26.4), "single-x8": (27.0, 27.5)}
    runs = [run(cell, seed) for cell in cells for seed in (0, 1)]
    rows = [
        row(f"{cell}/seed-{seed}", "BSD100", 8, psnr)
        for cell, values in cells.items()
        for seed, psnr in enumerate(values)
    ]
    found = list(findings(ComparisonOutcome(tuple(runs), tuple(rows))))
    verdicts = {one.claim: one.verdict for one in found if one.gain}
    assert verdicts == {
        "the curriculum is better than training for ×8 alone": "does not hold",
        "the curriculum is better than simultaneous training at ×8": "holds",
    }
    assert "at ×8 | *+0.01* | +0.10 ± 0.00 (2) | holds |" in findings_table(found)
