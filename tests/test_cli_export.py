"""`prosr export` as a user types it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prosr import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prosr", "export", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capsys.readouterr()

    return call


def test_a_bundled_model_becomes_an_onnx_file(run: Run) -> None:
    code, out, err = run("bicubic", "--scale", "2")
    assert (code, err) == (0, "")
    assert out.startswith("bicubic_x2.onnx: written, computes the same as PyTorch; its metadata:\n")
    assert "receptive_radius 2\n" in out
    assert Path("bicubic_x2.onnx").stat().st_size > 0


def test_a_gan_can_be_exported_at_any_strength(run: Run) -> None:
    code, out, err = run("progansr-xs@0.5", "--scale", "2")
    assert (code, err) == (0, "")
    assert out.startswith("progansr-xs@0.5_x2.onnx: written")
    assert run("prosr-xs@0.5")[2].startswith("error: prosr-xs has one strength")


def test_existing_files_stay_unless_asked(run: Run) -> None:
    Path("a.onnx").touch()
    code, _, err = run("bicubic", "--output", "a.onnx")
    assert (code, err) == (
        2,
        "error: a.onnx: exists already; replace it with --overwrite [ConfigError]\n",
    )
    assert Path("a.onnx").stat().st_size == 0
    assert run("bicubic", "--output", "a.onnx", "--overwrite")[0] == 0
    assert Path("a.onnx").stat().st_size > 0


def test_the_suffix_must_be_that_of_the_format(run: Run) -> None:
    code, _, err = run("bicubic", "--format", "openvino", "--output", "a.onnx")
    assert (code, err) == (2, "error: a.onnx: the output's name must end in .xml [ConfigError]\n")


@pytest.mark.parametrize("words", [("--format", "ncnn"), ("--precision", "fp8")])
def test_unknown_formats_and_precisions_are_refused(run: Run, words: tuple[str, str]) -> None:
    code, _, err = run("bicubic", *words)
    assert (code, f"'{words[1]}' is not one of" in err) == (2, True)
