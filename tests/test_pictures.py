"""Estimates state beforehand what enlarging a picture takes, and where its result goes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prosr.errors import ConfigError, ImageError
from prosr.images.formats import find_format
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.loading import load
from prosr.inference.pictures import result_suffix, target_of
from prosr.layouts import BicubicConfig
from prosr.nets.build import build

RNG = np.random.default_rng(0)
RESERVED = TorchEngine(build(BicubicConfig()), 10**9).reserved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RNG.integers(0, 256, (300, 200, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_size_and_tiles_are_those_of_the_run(path: Path) -> None:
    upscaler = load("bicubic", engine="torch", max_memory=RESERVED + 20_000_000)
    estimate = upscaler.estimate(path, 4)
    totals: list[int] = []
    upscaler.upscale(path, 4, progress=lambda done, total: totals.append(total))
    assert (estimate.width, estimate.height, estimate.tiles) == (800, 1200, totals[0])
    assert totals[0] > 1
    assert 0 < estimate.memory - RESERVED <= 21_000_000


def test_time_is_that_of_all_pixels_overlaps_included(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.inference.upscaler.measure", lambda *args: (100.0, 10_000.0))
    pixels = 300 * 200
    whole = load("bicubic", engine="torch").estimate(path, 2).seconds
    assert whole == pytest.approx(pixels * (100 + 4 * 10_000))
    small = load("bicubic", engine="torch", max_memory=RESERVED + 9_000_000)
    assert whole < small.estimate(path, 2).seconds < 1.1 * whole


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_a_trial_is_timed_for_every_format_and_nothing_is_written(path: Path, suffix: str) -> None:
    upscaler = load("bicubic")
    seconds = upscaler.estimate(path, 2, output=path.with_suffix(f".x.{suffix}")).seconds
    assert 0 < seconds < 60
    assert os.listdir(path.parent) == ["a.png"]


def test_an_estimate_refuses_what_the_run_would_refuse(path: Path) -> None:
    upscaler = load("bicubic")
    with pytest.raises(ConfigError, match="scale 99"):
        upscaler.estimate(path, 99)
    with pytest.raises(ImageError, match="is the input itself"):
        upscaler.estimate(path, 2, output=path)
    Image.new("L", (9000, 1)).save(path)
    with pytest.raises(ImageError, match="too many for JPEG"):
        upscaler.estimate(path, 8, output=path.with_suffix(".jpg"))


@pytest.mark.parametrize(
    ("name", "wanted", "result"),
    [
        ("a.jpg", None, ".jpg"),
        ("a b.JPEG", None, ".JPEG"),
        ("a.gif", None, ".png"),
        ("a.png", ".webp", ".webp"),
        ("a.jpeg", ".jpg", ".jpeg"),
    ],
)
def test_a_result_has_the_suffix_of_its_input_if_the_format_fits(
    name: str, wanted: str | None, result: str
) -> None:
    file_format = None if wanted is None else find_format(wanted)
    assert result_suffix(Path("folder") / name, file_format) == result


def test_an_output_is_a_file_or_a_folder(path: Path) -> None:
    assert target_of(path, 2, None) == path.with_name("a_x2.png")
    assert target_of(path, 2, path.parent) == path.parent / "a_x2.png"
    assert target_of(path, 2, "other.jpg") == Path("other.jpg")
