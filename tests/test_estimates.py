"""What enlarging will take, said before it is begun."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prosr.inference.estimates import Rates

from prosr.errors import ConfigError, ImageError
from prosr.inference.memory import RESERVED, resident_memory
from prosr.inference.upscaler import load

RNG = np.random.default_rng(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RNG.integers(0, 256, (300, 200, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_size_and_tiles_are_those_of_the_run(path: Path) -> None:
    upscaler = load("bicubic", max_memory=RESERVED + 20_000_000)
    estimate = upscaler.estimate(path, 4)
    totals: list[int] = []
    upscaler.upscale(path, 4, progress=lambda done, total: totals.append(total))
    assert (estimate.width, estimate.height, estimate.tiles) == (800, 1200, totals[0])
    assert totals[0] > 1
    held = resident_memory() or RESERVED
    assert 0 < estimate.memory - min(RESERVED, held) <= 21_000_000


def test_time_is_that_of_all_pixels_halos_included(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = Rates(decoding=1.0, computing=100.0, encoding=10_000.0)
    monkeypatch.setattr("prosr.inference.upscaler.measure", lambda *args: rates)
    pixels = 300 * 200
    whole = load("bicubic").estimate(path, 2).seconds
    assert whole == pytest.approx(pixels * (1 + 100 + 4 * 10_000))
    tiled = load("bicubic", max_memory=RESERVED + 9_000_000).estimate(path, 2).seconds
    assert whole < tiled < 1.1 * whole


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_a_trial_is_timed_for_every_format_and_nothing_is_written(path: Path, suffix: str) -> None:
    upscaler = load("bicubic")
    seconds = upscaler.estimate(path, 2, output=path.with_suffix(f".x.{suffix}")).seconds
    assert 0 < seconds < 60
    assert os.listdir(path.parent) == ["a.png"]


def test_what_cannot_be_made_is_refused_as_it_would_be(path: Path) -> None:
    upscaler = load("bicubic")
    with pytest.raises(ConfigError, match="scale 3"):
        upscaler.estimate(path, 3)
    with pytest.raises(ImageError, match="is the input itself"):
        upscaler.estimate(path, 2, output=path)
    Image.new("L", (9000, 1)).save(path)
    with pytest.raises(ImageError, match="too many for JPEG"):
        upscaler.estimate(path, 8, output=path.with_suffix(".jpg"))
