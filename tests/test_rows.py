"""Rows of measurements, in files and tables."""

from pathlib import Path

import pytest

from prosr.errors import ConfigError
from prosr.evaluation.provenance import machine
from prosr.lab.records import make_row, read_rows, save_rows, to_markdown
from prosr.lab.rounds import Timing

ROWS = [
    make_row("128×128 ×4", "a", Timing((1.0, 2.0, 4.0)), multiply_adds=10**9, pictures=8),
    make_row("128×128 ×4", "b", Timing((0.5,)), memory=300_000_000),
]


def test_rows_survive_their_file(tmp_path: Path) -> None:
    save_rows(tmp_path / "rows.json", ROWS)
    assert read_rows(tmp_path / "rows.json") == ROWS
    assert ROWS[0].machine == machine()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"model": 1}')
    with pytest.raises(ConfigError, match=r"rows\.json: not a file of measurements"):
        read_rows(tmp_path / "rows.json")


def test_the_table_has_the_rates_and_only_columns_that_hold_something() -> None:
    heading, _, first, second, *_ = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in to_markdown(ROWS).splitlines()
    )
    assert "parameters" not in heading
    cells = dict(zip(heading, first, strict=True))
    assert (cells["seconds"], cells["middle half"], cells["rounds"]) == ("2", "1.5–3", "3")
    assert (cells["GFLOP"], cells["GFLOP/s"], cells["pictures/s"]) == ("2", "1", "4")
    assert dict(zip(heading, second, strict=True))["middle half"] == "–"
    assert cells["peak memory (MB)"] == "–"
