"""Table 4 from rows made by hand: the column of each score, and the texts."""

from pathlib import Path

import pytest

from made_outcome import row, run
from prosr.config import PRESETS
from prosr.lab.outcome import ComparisonOutcome
from prosr.lab.plan import load_plan
from prosr.lab.reports import write_table_4
from prosr.lab.table_4 import SystemRow, Table4, table_4, to_markdown
from prosr.layouts import BicubicConfig, DenseConfig

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.fixture
def table() -> Table4:
    """LapSRN trained with two seeds, its authors' weights at ×2 and ×4, and ours."""
    outcome = ComparisonOutcome(
        (run("lapsrn-x4", 0), run("lapsrn-x4", 1), run("newnet", 0)),
        (
            row("lapsrn-x4/seed-0", "Set5", 4, 30.0, ssim=0.8),
            row("lapsrn-x4/seed-1", "Set5", 4, 31.0, ssim=0.9),
            row("newnet/seed-0", "Set5", 4, 29.0),
        ),
    )
    beside = [
        row("lapsrn-x4", "Set5", 4, 31.5),
        row("lapsrn-x4", "Set5", 2, 20.0),
        row("prosr-xs", "Set5", 4, 31.1),
        row("prosr-xs", "Set5", 8, 26.0),
        row("lapsrn-x2", "Set5", 2, 37.5).model_copy(update={"protocol": "ntire"}),
    ]
    return table_4(outcome, beside)


def line(table: Table4, system: str, scale: int) -> SystemRow:
    return next(one for one in table.lines if (one.system, one.scale) == (system, scale))


def test_each_score_is_in_the_column_of_its_origin(table: Table4) -> None:
    scores = line(table, "LapSRN", 4).scores
    assert {kind: figures["Set5"].psnr.mean for kind, figures in scores.items()} == {
        "published": 31.54,
        "released": 31.5,
        "trained": 30.5,
    }
    assert line(table, "prosr-xs", 4).scores.keys() == {"ours"}


def test_the_kind_of_a_strength_or_an_ensemble_is_that_of_its_weights() -> None:
    beside = [row("progansr-xs@0.5", "Set5", 4, 31.0), row("prosr-xs+", "Set5", 4, 32.0)]
    beside += [row("lapsrn-x4+", "Set5", scale, 31.0) for scale in (2, 4)]
    found = table_4(ComparisonOutcome((), ()), beside)
    assert [one.scores.keys() for one in found.lines if one.system.startswith("pro")] == [
        {"ours"},
        {"ours"},
    ]
    assert all(one.parameters for one in found.lines if "ours" in one.scores)
    assert not [one for one in found.lines if one.scale == 2 and "released" in one.scores]


def test_networks_for_another_scale_and_other_protocols_are_left_out(table: Table4) -> None:
    assert line(table, "LapSRN", 2).scores.keys() == {"published"}


def test_quality_is_of_the_plotted_set(table: Table4) -> None:
    trained = line(table, "LapSRN", 4)
    assert (trained.quality["trained"], trained.parameters) == (30.5, 4000)
    assert table.plotted == "Set5"


def test_seconds_are_those_measured_for_the_preset_at_that_scale() -> None:
    rows = (row("lapsrn-x4/seed-0", "Set5", 4, 30.0), row("vdsr/seed-0", "Set5", 4, 29.0))
    outcome = ComparisonOutcome((run("lapsrn-x4", 0), run("vdsr", 0)), rows)
    table = table_4(outcome, speeds={("lapsrn-x4", 4): 0.5, ("vdsr", 2): 2.0})
    assert line(table, "LapSRN", 4).seconds == 0.5
    assert line(table, "VDSR", 4).seconds is None


def test_a_run_with_a_layout_of_its_own_does_not_have_the_seconds_of_its_preset() -> None:
    scores = (row("mine/seed-0", "Set5", 4, 30.0),)
    plain = run("mine", 0)
    recipe = plain.recipe.model_copy(update={"layout": {"features": 8}})
    for record, seconds in ((plain, 0.5), (plain.model_copy(update={"recipe": recipe}), None)):
        table = table_4(ComparisonOutcome((record,), scores), speeds={("prosr-xs", 4): 0.5})
        assert line(table, "mine", 4).seconds == seconds


def test_a_system_without_scores_on_a_large_set_is_in_the_plots() -> None:
    rows = [row("vdsr/seed-0", name, 2, 36.0) for name in ("Set14", "BSD100")]
    runs = (run("vdsr", 0), run("drrn", 0))
    table = table_4(ComparisonOutcome(runs, (*rows, row("drrn/seed-0", "Set14", 2, 37.0))))
    assert table.plotted == "Set14"
    assert line(table, "DRRN", 2).quality == {"trained": 37.0}
    assert "| ×2 | DRRN | 33.23 / 32.05 | 37.00 / – |" in to_markdown(table)


def test_the_parameters_of_a_bundled_network_are_those_of_its_preset(table: Table4) -> None:
    assert line(table, "prosr-xs", 8).parameters == 508_625


def test_the_markdown_names_its_columns(table: Table4) -> None:
    text = to_markdown(table)
    head = "| published | released weights, scored here | trained here, 1 minutes |"
    assert head in text
    assert "| ×4 | LapSRN | 31.54 | 31.50 | 30.50 ± 0.71 | – |" in text
    assert "| ×4 | newnet | – | – | 29.00 | – |" in text
    assert "| ×4 | LapSRN | – | – | 0.8500 ± 0.0707 | – |" in to_markdown(table, "ssim")
    assert "ProSR-l" not in to_markdown(table, "ssim")


def test_without_any_run_the_published_scores_are_there() -> None:
    text = to_markdown(table_4(ComparisonOutcome((), ())))
    assert "| ×4 | SRDenseNet | – / 28.50 / 27.53 |\n" in text


def test_the_same_scores_give_the_same_files(tmp_path: Path) -> None:
    outcome = ComparisonOutcome((run("vdsr", 0),), (row("vdsr/seed-0", "Set5", 2, 36.0),))
    beside = [row("prosr-xs", "Set5", 2, 37.0)]
    for name in ("one", "two"):
        write_table_4(outcome, beside, {("vdsr", 2): 1.0}, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["quality-parameters.svg", "quality-time.svg", "table-4.json", "table-4.md"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_without_speeds_there_is_no_plot_of_quality_against_time(tmp_path: Path) -> None:
    outcome = ComparisonOutcome((run("vdsr", 0),), (row("vdsr/seed-0", "Set5", 2, 36.0),))
    write_table_4(outcome, (), {}, tmp_path)
    assert not (tmp_path / "quality-time.svg").exists()


def test_the_plan_trains_every_system_for_2_and_4_times() -> None:
    plan = load_plan(RECIPES / "compare.toml")
    assert plan.minutes is not None and plan.minutes >= 20
    scales: dict[str, set[int]] = {}
    for cell in plan.cells:
        system = cell.removesuffix("-x2").removesuffix("-x4")
        scales.setdefault(system, set()).update(plan.recipe_of(cell, 1, 0).scales)
    assert all(found >= {2, 4} for found in scales.values())
    own = DenseConfig | BicubicConfig
    others = [name for name, layout in PRESETS.items() if not isinstance(layout, own)]
    layouts = {name.removesuffix("-x2").removesuffix("-x4") for name in others}
    layouts = {name for name in layouts if not name.endswith("-x8")}
    ours, adversarial = {"prosr-xs-1", "prosr-s", "prosr-l"}, {"srgan", "enhancenet-pa"}
    assert scales.keys() == layouts | ours | adversarial
    assert all(scales[name] == {2, 4, 8} for name in ours)


def test_a_gan_of_the_plan_starts_from_the_run_of_its_generator() -> None:
    plan = load_plan(RECIPES / "compare.toml")
    for cell in plan.cells:
        recipe, first = plan.recipe_of(cell, 1, 0), plan.start_from(cell)
        assert (first is None) == (recipe.adversarial is None)
        assert first is None or plan.recipe_of(first, 1, 0).net == recipe.net
