"""Results files are merged by key, in a fixed order; other files are refused."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prosr.errors import ConfigError
from prosr.evaluation.provenance import Machine
from prosr.evaluation.results import (
    PictureScore,
    ScoreRow,
    read_results,
    save_results,
)


def make_row(**changes: Any) -> ScoreRow:
    values: dict[str, Any] = dict(
        model="bicubic", set="Set5", scale=2, protocol="paper", psnr=33.66, ssim=0.9299,
        consistency=45.0, seconds=0.5, megapixels=0.4, weights=None, prosr="0.1.0", commit=None,
        engine="torch fp32",
        machine=Machine(cpu="A processor", cores=2, threads=2, torch="2.13.0"),
        pictures=(PictureScore(name="a", psnr=33.66, ssim=0.93, consistency=45.0, seconds=0.5),),
    )  # fmt: skip
    return ScoreRow(**{**values, **changes})


def test_rows_survive_a_file(tmp_path: Path) -> None:
    rows = [make_row(), make_row(scale=4, ssim=None, consistency=None, commit="0" * 40)]
    save_results(tmp_path / "new" / "scores.json", rows)
    assert read_results(tmp_path / "new" / "scores.json") == tuple(rows)


@pytest.mark.parametrize("text", ["Infinity", '"NaN"', "1e999", "9" * 5000, "[" * 5000])
def test_a_score_that_is_no_finite_number_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    save_results(path, [make_row()])
    path.write_text(re.sub(r'"psnr": [0-9.]+', f'"psnr": {text}', path.read_text("utf-8"), count=1))
    with pytest.raises(
        ConfigError, match=r"scores\.json is not a results file \(.*\); move it away"
    ):
        read_results(path)


def test_a_new_row_replaces_the_old_one_with_its_key(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    save_results(path, [make_row(psnr=1.0), make_row(scale=4)])
    save_results(path, [make_row(psnr=2.0)])
    assert read_results(path) == (make_row(psnr=2.0), make_row(scale=4))


@pytest.mark.parametrize(
    "change", [{"model": "prosr-xs"}, {"set": "Set14"}, {"scale": 4}, {"protocol": "ntire"}]
)
def test_rows_with_another_key_are_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    for row in (make_row(), make_row(**change)):
        save_results(tmp_path / "scores.json", [row])
    assert len(read_results(tmp_path / "scores.json")) == 2


def test_the_file_does_not_depend_on_the_order_of_runs(tmp_path: Path) -> None:
    rows = [make_row(model=model, scale=scale) for model in "ba" for scale in (8, 2)]
    for name, order in (("one", rows), ("other", rows[::-1])):
        for row in order:
            save_results(tmp_path / name, [row])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_each_row_is_one_line(tmp_path: Path) -> None:
    save_results(tmp_path / "scores.json", [make_row(), make_row(scale=8)])
    lines = (tmp_path / "scores.json").read_text(encoding="utf-8").splitlines()
    assert (len(lines), lines[0], lines[-1]) == (4, "[", "]")


@pytest.mark.parametrize("content", ["", "not json", "{}", '[{"model": "bicubic"}]'])
def test_another_file_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"other\.json is not a results file .*; move it away"):
        save_results(path, [make_row()])
    assert path.read_text() == content


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json: No such file"):
        read_results(tmp_path / "nowhere.json")


def test_writers_at_the_same_time_lose_no_row(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"

    def add(model: str) -> None:
        for scale in range(2, 12):
            save_results(path, [make_row(model=model, scale=scale)])

    with ThreadPoolExecutor() as pool:
        list(pool.map(add, "abcd"))
    assert len(read_results(path)) == 40
