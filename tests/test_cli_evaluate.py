"""`prosr evaluate` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from PIL import Image

from prosr import cli
from prosr.cli.evaluate import name_models
from prosr.errors import ImageError
from prosr.evaluation.results import read_results
from prosr.inference.upscaler import Upscaler


@pytest.fixture
def sets(tmp_path: Path) -> list[str]:
    for name in ("One", "Two"):
        (tmp_path / name).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    return [str(tmp_path / name) for name in ("One", "Two")]


def prosr(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["prosr", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_sets_and_scales_give_a_row_for_each_pair(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sets: list[str]
) -> None:
    output = tmp_path / "results" / "scores.json"
    words = ["evaluate", "bicubic", "--set", *sets, "--scale", "2", "4", "--output", str(output)]
    assert prosr(monkeypatch, *words) == 0
    rows = [(row.set, row.scale, row.protocol) for row in read_results(output)]
    assert rows == [(name, scale, "paper") for name in ("One", "Two") for scale in (2, 4)]


def test_every_scale_is_scored_unless_some_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sets: list[str]
) -> None:
    output = tmp_path / "scores.json"
    assert prosr(monkeypatch, "evaluate", "bicubic", "--set", sets[0], "--output", str(output)) == 0
    assert [row.scale for row in read_results(output)] == [2, 4, 8]


def test_strengths_of_a_gan_are_separate_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sets: list[str]
) -> None:
    output = tmp_path / "scores.json"
    models = ("progansr-xs", "progansr-xs@0.5", "prosr-xs")
    words = ["--set", sets[0], "--scale", "2", "--output", str(output)]
    assert prosr(monkeypatch, "evaluate", *models, *words) == 0
    rows = {row.model: row.weights for row in read_results(output)}
    assert rows.keys() == set(models)
    assert len(set(rows.values())) == 3


def test_a_second_run_adds_to_the_results_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sets: list[str]
) -> None:
    output = tmp_path / "scores.json"
    for protocol in ("paper", "ntire", "paper"):
        words = ["--set", sets[0], "--scale", "2", "--protocol", protocol, "--output", str(output)]
        assert prosr(monkeypatch, "evaluate", "bicubic", *words) == 0
    assert [row.protocol for row in read_results(output)] == ["ntire", "paper"]


def test_the_table_names_its_protocol(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sets: list[str]
) -> None:
    assert prosr(monkeypatch, "evaluate", "bicubic", "--set", sets[0], "--scale", "2") == 0
    printed = capsys.readouterr().out
    assert "protocol paper" in printed
    assert "bicubic" in printed


def test_no_number_is_truncated_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sets: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    words = ["--set", sets[0], "--scale", "2", "--also", "colour"]
    assert prosr(monkeypatch, "evaluate", "bicubic", *words) == 0
    printed = capsys.readouterr().out
    assert "consistency" in printed
    assert "…" not in printed


def test_the_degradation_of_the_inputs_stands_beside_every_number(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sets: list[str],
) -> None:
    output = tmp_path / "scores.json"
    common = ["evaluate", "bicubic", "--set", sets[0], "--scale", "2", "--output", str(output)]
    assert prosr(monkeypatch, *common, "--degradation", "none", "jpeg-50") == 0
    assert "inputs degraded by jpeg-50" in " ".join(capsys.readouterr().out.split())
    rows = {row.protocol: row.psnr for row in read_results(output)}
    assert rows.keys() == {"paper", "paper+jpeg-50"}
    assert rows["paper+jpeg-50"] < rows["paper"]
    # As the results file names it.
    assert prosr(monkeypatch, *common, "--protocol", "paper+jpeg-50") == 0
    assert {row.protocol: row.psnr for row in read_results(output)} == rows


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bicubik", "--scale", "2"], "no model is called 'bicubik'"),
        (["bicubic", "--scale", "5"], "bicubic does not enlarge by 5, only by 2, 3, 4, 8"),
        (["bicubic", "--scale", "2", "--protocol", "Paper"], "did you mean 'paper'?"),
        (["bicubic", "--degradation", "jpeg75"], "did you mean 'jpeg-75'?"),
        (["bicubic", "--degradation", ""], "no degradation is called ''"),
        (["bicubic", "--protocol", "paper+jpeg-75", "--degradation", "blur"], "two degradations"),
        (["auto"], "auto takes a network for each picture"),
        (["bicubic", "--set", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sets: list[str],
    words: list[str],
    says: str,
) -> None:
    assert prosr(monkeypatch, "evaluate", *words, "--set", sets[0]) == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("error: ")
    assert says in printed
    assert "\n" not in printed


def test_a_failed_evaluation_leaves_an_empty_results_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sets: list[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise ImageError("a.png: damaged")

    monkeypatch.setattr("prosr.evaluation.scoring.score_all", fail)
    output = tmp_path / "new" / "scores.json"
    words = ["bicubic", "--set", sets[0], "--output", str(output)]
    assert prosr(monkeypatch, "evaluate", *words) == 2
    assert read_results(output) == ()


def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sets: list[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("prosr.evaluation.scoring.score_all", None)
    words = ["bicubic", "--set", sets[0], "--output", str(tmp_path / "file" / "scores.json")]
    assert prosr(monkeypatch, "evaluate", *words) == 2
    assert "scores.json: cannot be written" in capsys.readouterr().err


def test_another_file_as_output_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    sets: list[str],
) -> None:
    output = tmp_path / "other.json"
    output.write_text(json.dumps({"other": 1}))
    words = ["bicubic", "--set", sets[0], "--scale", "2", "--output", str(output)]
    assert prosr(monkeypatch, "evaluate", *words) == 2
    assert "other.json is not a results file" in capsys.readouterr().err
    assert output.read_text() == '{"other": 1}'


def called(name: str) -> Upscaler:
    return cast("Upscaler", SimpleNamespace(name=name))


def test_files_of_the_same_name_keep_their_paths() -> None:
    requests = {
        "bicubic": "bicubic",
        "runs/a/best.safetensors": "best",
        "b/best.safetensors": "best",
        "b/last.safetensors": "last+",
        "c/last.safetensors": "last+",
    }
    named = name_models({request: called(name) for request, name in requests.items()})
    runs = ["runs/a/best.safetensors", "b/best.safetensors"]
    ensembles = ["b/last.safetensors+", "c/last.safetensors+"]
    assert list(named) == ["bicubic", *runs, *ensembles]
