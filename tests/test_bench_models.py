"""`prosr bench models` times models in turns on the paper's pictures."""

import sys
from pathlib import Path

import pytest

from in_this_process import InThisProcess
from prosr import cli
from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.evaluation.timing import Timing
from prosr.lab import models
from prosr.lab.measurements import TimingRow, measured, read_rows
from prosr.lab.models import CASES, ModelCase, speeds, systems, time_models
from prosr.nets.build import build


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setattr(models, "Isolated", InThisProcess)
    return InThisProcess.alive


def test_every_preset_is_timed_in_some_case() -> None:
    assert {name for case in CASES for name in systems(case)} == set(PRESETS)


def test_a_case_has_the_systems_of_its_scale() -> None:
    at_4 = systems(ModelCase(520, 4))
    assert {"prosr-l", "vdsr", "lapsrn-x4", "edsr-x4"} <= set(at_4)
    assert not {"lapsrn-x8", "edsr-x2", "table1-block"} & set(at_4)
    assert "table1-block" in systems(CASES[0])


@pytest.mark.usefixtures("alive")
def test_rows_come_fastest_first_with_the_models_size_and_work() -> None:
    names = ["srcnn", "bicubic"]
    rows = time_models([ModelCase(12, 4)], names, "torch", 2, 1000, lambda name: None)
    assert [row.subject for row in rows] == sorted(
        names, key=lambda name: [r.seconds for r in rows if r.subject == name]
    )
    (row,) = (row for row in rows if row.subject == "srcnn")
    assert row.parameters == sum(p.numel() for p in build(PRESETS["srcnn"]).parameters())
    assert row.multiply_adds and row.multiply_adds % 144 == 0
    assert row.rounds == 2 and row.memory and row.memory > 1e7
    assert row.engine == "torch fp32"


def test_a_scale_that_no_model_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of edsr-x2 has scale 4, 8"):
        time_models(
            [ModelCase(8, 4), ModelCase(8, 8)], ["edsr-x2"], "torch", 1, 1, lambda name: None
        )


@pytest.mark.usefixtures("alive")
def test_the_command_writes_json_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "speed.json"
    words = ["--models", "bicubic", "edsr-baseline-x2", "--size", "8", "--scale", "2", "4"]
    words += ["--rounds", "1", "--engine", "torch", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["prosr", "bench", "models", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert {row.case for row in read_rows(output)} == {"8×8 ×2", "8×8 ×4"}
    printed = capsys.readouterr()
    assert output.with_suffix(".md").read_text() == printed.out
    assert "without scale 4: edsr-baseline-x2" in printed.err


@pytest.mark.usefixtures("alive")
def test_one_size_after_another_makes_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "speed.json"
    for side in ("8", "12", "8"):
        words = ["--models", "bicubic", "--size", side, "--scale", "2", "--rounds", "1"]
        more = ["--engine", "torch", "--output", str(output)]
        monkeypatch.setattr(sys, "argv", ["prosr", "bench", "models", *words, *more])
        with pytest.raises(SystemExit):
            cli.main()
    assert [row.case for row in read_rows(output)] == ["12×12 ×2", "8×8 ×2"]


def test_a_model_runs_in_a_process_of_its_own() -> None:
    (row,) = time_models([ModelCase(8, 2)], ["bicubic"], "torch", 1, 0, lambda name: None)
    assert row.engine == "torch fp32"
    assert row.memory and 1e8 < row.memory < 2e9


def test_speeds_are_seconds_per_megapixel_of_output_on_the_largest_pictures() -> None:
    seconds = Timing((2.0,))
    cases = (CASES[0], ModelCase(520, 4))
    rows = [TimingRow(case=str(case), subject="vdsr", **measured(seconds)) for case in cases]
    assert speeds(rows) == {("vdsr", 4): round(2 / (2080**2 / 1e6), 4)}


def test_only_one_model_is_alive_at_a_time(alive: list[object]) -> None:
    rows = time_models([ModelCase(12, 2)], ["bicubic", "srcnn"], "torch", 2, 9, lambda name: None)
    assert [row.rounds for row in rows] == [2, 2]
    assert {row.engine for row in rows} == {"torch fp32"}
    assert not alive


@pytest.mark.usefixtures("alive")
def test_a_slow_model_is_called_once() -> None:
    (row,) = time_models([ModelCase(12, 4)], ["srcnn"], "torch", 3, 0, lambda name: None)
    assert row.rounds == 1
