"""Rows of timings in files and tables, and the products that show the machine's peak."""

from pathlib import Path

import pytest
import torch

from prosr.errors import ConfigError
from prosr.evaluation.provenance import machine
from prosr.evaluation.timing import Timing
from prosr.lab.measurements import (
    PEAK_MACS,
    PEAK_SIDE,
    TimingRow,
    add_rows,
    matrix_products,
    measured,
    read_rows,
    to_markdown,
)

ROWS = [
    TimingRow(
        case="128×128 ×4",
        subject="a",
        multiply_adds=10**9,
        pictures=8,
        **measured(Timing((1.0, 2.0, 4.0))),
    ),
    TimingRow(case="128×128 ×4", subject="b", memory=300_000_000, **measured(Timing((0.5,)))),
]


def test_rows_survive_a_file(tmp_path: Path) -> None:
    add_rows(tmp_path / "rows.json", ROWS)
    assert read_rows(tmp_path / "rows.json") == ROWS
    assert ROWS[0].machine == machine()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{"model": 1}')
    with pytest.raises(ConfigError, match=r"rows\.json is not a file of measurements"):
        read_rows(tmp_path / "rows.json")


def test_the_table_has_rates_and_no_empty_columns() -> None:
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


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_products_have_the_macs_that_they_are_counted_with(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.lab.measurements.PEAK_SIDE", 8)
    products: list[tuple[torch.Size, torch.Size]] = []

    def multiply(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        products.append((a.shape, b.shape))
        assert {a.dtype, b.dtype, out.dtype} == {dtype}

    monkeypatch.setattr(torch, "mm", multiply)
    matrix_products(name)()
    assert set(products) == {((8, 8), (8, 8))}
    assert len(products) * PEAK_SIDE**3 == PEAK_MACS
    assert PEAK_SIDE >= 1024
