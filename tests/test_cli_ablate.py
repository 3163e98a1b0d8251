"""`prosr ablate` and `prosr compare` from the command line, with tiny networks."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prosr import cli
from prosr.files import only_here

PLAN = """
validations = 1
[recipe]
model = "table1-curriculum"
layout = { features = 4, growth = [2, 2, 2] }
batch = 1
patch = [6, 4, 2]
steps = 2
schedule = { kind = "single", scale = 2 }
[cells.NAME]
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    shutil.copytree(tmp_path / "pictures", tmp_path / "Set14")
    (tmp_path / "ablation.toml").write_text(PLAN.replace("NAME", "single-x2"))
    (tmp_path / "compare.toml").write_text(PLAN.replace("NAME", "vdsr-x2"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prosr(monkeypatch: pytest.MonkeyPatch, verb: str, plan: str, *more: str) -> int | str | None:
    folders = ["--data", "pictures", "--validation", "pictures", "--set", "Set14", "--run", "run"]
    words = [verb, plan, *folders, "--workers", "0", *more]
    monkeypatch.setattr(sys, "argv", ["prosr", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_a_dry_run_lists_the_runs_and_starts_none(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prosr(monkeypatch, "ablate", "ablation.toml", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "single-x2, seed 0: table1-curriculum, single ×2, 2 steps, to do",
        "1 runs, 1 to do",
    ]
    assert not (desk / "run").exists()
    assert not (desk / "results").exists()


def test_a_stopped_ablation_is_finished_by_the_same_command(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prosr(monkeypatch, "ablate", "ablation.toml", "--max-minutes", "0") == 0
    assert "the same command resumes" in capsys.readouterr().out
    assert prosr(monkeypatch, "ablate", "ablation.toml") == 0
    assert "finished: run/results" in capsys.readouterr().out
    files = {path.name for path in (desk / "run" / "results").glob("[!.]*")}
    assert files == {"runs.json", "scores.json", "tables.json", "tables.md", "figure-4.svg"}


def test_a_folder_in_use_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_here(desk / "run"):
        assert prosr(monkeypatch, "ablate", "ablation.toml") == 2
    assert "run: used by another prosr process; wait for it" in capsys.readouterr().err
    assert prosr(monkeypatch, "ablate", "ablation.toml") == 0


def test_a_comparison_includes_other_scores(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prosr(monkeypatch, "ablate", "ablation.toml", "--output", "other") == 0
    shutil.rmtree(desk / "run")
    scores = json.loads((desk / "other" / "scores.json").read_text())
    (desk / "other.json").write_text(json.dumps([{**scores[0], "model": "VDSR"}]))
    beside = ["--beside", "other.json", "--output", "out"]
    assert prosr(monkeypatch, "compare", "compare.toml", *beside) == 0
    lines = json.loads((desk / "out" / "table-4.json").read_text())["lines"]
    line = next(one for one in lines if (one["system"], one["scale"]) == ("VDSR", 2))
    assert line["scores"].keys() == {"published", "released", "trained"}


def test_a_cell_in_none_of_the_tables_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prosr(monkeypatch, "ablate", "compare.toml") == 2
    assert "error: cells.vdsr-x2 is in none of the tables" in capsys.readouterr().err


def test_two_sets_with_the_same_name_are_refused_before_training(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(desk / "Set14", desk / "more" / "Set14")
    assert prosr(monkeypatch, "ablate", "ablation.toml", "--set", "more/Set14") == 2
    assert "2 sets are called 'Set14'" in capsys.readouterr().err
    assert not (desk / "run").exists()
