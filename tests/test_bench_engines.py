"""`prosr bench engines` times engines in turns on the same picture."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prosr import cli
from prosr.errors import ConfigError
from prosr.evaluation.timing import Timing
from prosr.lab import engines
from prosr.lab.engines import PLAIN, EngineCase, make_subject, parse_picture
from prosr.lab.measurements import TimingRow, measured, read_rows

CASE = EngineCase("bicubic", 2, 12, 16)


def test_a_size_is_width_by_height_and_anything_else_is_refused() -> None:
    assert parse_picture("4000x3000") == (3000, 4000)
    for text in ("520", "0x5", "axb", "5x5x5"):
        with pytest.raises(ConfigError, match="is not a picture's size"):
            parse_picture(text)


@pytest.mark.parametrize("engine", ["torch", PLAIN])
def test_a_subject_returns_no_picture_that_would_be_pickled(engine: str) -> None:
    returned: Any = make_subject((CASE, engine))()
    if engine == "torch":
        engine_and_precision, memory = returned
        assert engine_and_precision == "torch fp32"
        assert memory > 1e7
    else:
        assert returned is None


def test_plain_pytorch_is_left_out_if_it_needs_too_much_memory() -> None:
    assert engines._plain_fits(EngineCase("prosr-xs", 2, 128, 128), 10_000)
    assert not engines._plain_fits(EngineCase("prosr-xs", 8, 30_000, 40_000), 10_000)


def test_the_process_of_an_engine_does_not_import_pytorch() -> None:
    code = """
import sys
from prosr.lab.engines import EngineCase, make_subject
make_subject((EngineCase("prosr-xs", 2, 12, 16), "openvino"))()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("model", ["bicubic", "srcnn"])
def test_an_engine_agrees_with_pytorch_on_bundled_and_untrained_models(model: str) -> None:
    precision, agreement = engines._agreement(EngineCase(model, 2, 12, 16), "openvino")
    assert precision == "fp32"
    assert agreement > 100


def test_engines_take_turns_beside_the_peak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "engines.json"
    words = ["--models", "bicubic", "--size", "12x16", "--scale", "2", "--engine", "torch"]
    more = ["--rounds", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["prosr", "bench", "engines", *words, *more])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    rows = read_rows(output)
    assert [row.subject for row in rows] == ["torch fp32", f"{PLAIN} fp32"]
    assert {row.case for row in rows} == {"bicubic ×2, 12×16"}
    assert all(row.megapixels == 4 * 12 * 16 / 1e6 and row.memory for row in rows)
    assert rows[0].agreement == 200
    assert "s/megapixel" in capsys.readouterr().out
    assert json.loads(output.read_text())


def test_finished_rows_are_kept_when_a_later_picture_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(case: EngineCase, *rest: Any) -> Iterator[TimingRow]:
        if case.height == 10:
            raise KeyboardInterrupt
        yield TimingRow(case=str(case), subject="torch fp32", **measured(Timing((1.0,))))

    monkeypatch.setattr(engines, "time_engines", interrupted)
    output = tmp_path / "engines.json"
    words = ["--models", "bicubic", "--size", "9x9", "10x10", "--scale", "2", "--engine", "torch"]
    more = ["--rounds", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["prosr", "bench", "engines", *words, *more])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert {row.case for row in read_rows(output)} == {"bicubic ×2, 9×9"}


def test_a_case_names_its_memory_unless_it_is_the_usual() -> None:
    assert str(CASE) == "bicubic ×2, 16×12"
    assert str(replace(CASE, max_memory=8 * 10**9)) == "bicubic ×2, 16×12, 8 GB"
