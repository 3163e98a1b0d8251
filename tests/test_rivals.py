from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prosr import cli
from prosr.errors import ConfigError
from prosr.lab import rivals
from prosr.lab.records import Row, read_rows
from prosr.lab.rivals import PLAIN, Case, make_subject, parse_picture

CASE = Case("bicubic", 2, 12, 16)


def test_a_size_is_width_by_height_and_anything_else_is_refused() -> None:
    assert parse_picture("4000x3000") == (3000, 4000)
    for text in ("520", "0x5", "axb", "5x5x5"):
        with pytest.raises(ConfigError, match="is no size of a picture"):
            parse_picture(text)


@pytest.mark.parametrize("engine", ["torch", PLAIN])
def test_a_subject_gives_nothing_back_that_would_have_to_travel(engine: str) -> None:
    assert make_subject((CASE, engine))() is None


def test_plain_pytorch_is_left_out_where_it_would_need_the_whole_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = rivals._network("prosr-xs")
    assert rivals._plain_fits(net, Case("prosr-xs", 2, 128, 128))
    assert not rivals._plain_fits(net, Case("prosr-xs", 8, 30_000, 40_000))


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


def test_what_was_timed_is_kept_when_a_later_picture_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rivals.time_engines

    def interrupted(case: Case, *rest: Any) -> Iterator[Row]:
        if case.height == 10:
            raise KeyboardInterrupt
        return real(case, *rest)

    monkeypatch.setattr(rivals, "time_engines", interrupted)
    output = tmp_path / "engines.json"
    words = ["--models", "bicubic", "--size", "9x9", "10x10", "--scale", "2", "--engine", "torch"]
    more = ["--rounds", "1", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["prosr", "bench", "engines", *words, *more])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert {row.case for row in read_rows(output)} == {"bicubic ×2, 9×9"}


def test_a_case_says_its_memory_where_that_is_not_the_usual() -> None:
    assert str(CASE) == "bicubic ×2, 16×12"
    assert str(replace(CASE, max_memory=8 * 10**9)) == "bicubic ×2, 16×12, 8 GB"
