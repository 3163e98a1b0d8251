"""Scoring uses the users' `Upscaler` and reproduces the published bicubic scores."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prosr.data.benchmarks import Benchmark, open_benchmark
from prosr.data.degradations import degraded
from prosr.errors import ConfigError, DataError
from prosr.evaluation.metrics import psnr
from prosr.evaluation.protocol import PROTOCOLS, find_protocol
from prosr.evaluation.scoring import score, score_all
from prosr.inference.loading import load
from prosr.inference.upscaler import Upscaler

BICUBIC = {
    "Set5": {2: 33.66, 4: 28.42, 8: 24.40},
    "Set14": {2: 30.33, 4: 26.09, 8: 23.19},
    "BSD100": {2: 29.56, 4: 25.96, 8: 23.67},
}
PAPER = PROTOCOLS["paper"]


@pytest.fixture(scope="module")
def bicubic() -> Upscaler:
    return load("bicubic")


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    random = np.random.default_rng(5)
    for name in "ab":
        coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((48, 40)).save(tmp_path / f"{name}.png")
    return open_benchmark(tmp_path)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(
    "name", ["Set5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("Set14", "BSD100"))]
)
def test_bicubic_gets_its_published_scores(
    prosr_data: Path, bicubic: Upscaler, name: str, scale: int
) -> None:
    row = score(bicubic, open_benchmark(prosr_data / "benchmarks" / name), scale, PAPER)
    assert row.psnr == pytest.approx(BICUBIC[name][scale], abs=0.03)


def test_a_rows_scores_are_means_of_its_pictures(bicubic: Upscaler, benchmark: Benchmark) -> None:
    row = score(bicubic, benchmark, 2, PAPER)
    for kind in ("psnr", "ssim", "consistency"):
        each = [getattr(picture, kind) for picture in row.pictures]
        assert getattr(row, kind) == pytest.approx(np.mean(each), abs=1e-4)


def test_a_row_describes_the_measurement(bicubic: Upscaler, benchmark: Benchmark) -> None:
    row = score(bicubic, benchmark, 4, PROTOCOLS["ntire"])
    assert row.key == ("bicubic", "ntire", benchmark.name, 4)
    assert [picture.name for picture in row.pictures] == ["a", "b"]
    assert row.megapixels == round(2 * 48 * 40 / 1e6, 4)
    assert row.weights is None
    assert row.engine == bicubic.work.computed_by
    assert row.seconds > 0


def test_scores_do_not_depend_on_the_run(bicubic: Upscaler, benchmark: Benchmark) -> None:
    one, other = (score(bicubic, benchmark, 2, PAPER) for _ in range(2))
    assert (one.psnr, one.ssim, one.consistency) == (other.psnr, other.ssim, other.consistency)


def test_psnr_alone_is_the_same_psnr(bicubic: Upscaler, benchmark: Benchmark) -> None:
    whole, quick = (score(bicubic, benchmark, 2, PAPER, psnr_only=only) for only in (False, True))
    assert quick.psnr == whole.psnr
    assert (quick.ssim, quick.consistency) == (None, None)


def test_progress_is_called_after_each_picture(bicubic: Upscaler, benchmark: Benchmark) -> None:
    told: list[None] = []
    score(bicubic, benchmark, 8, PAPER, progress=lambda: told.append(None))
    assert len(told) == 2


def test_a_flat_picture_is_left_out_of_every_mean(
    bicubic: Upscaler,
    benchmark: Benchmark,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")  # NNCF, which another test runs, raises it for good
    page = Image.new("RGB", (60, 60), (9, 99, 199))
    page.putpixel((2, 3), (0, 0, 0))  # within the border, which is not compared
    page.save(tmp_path / "flat.png")
    alone, with_page = (
        score(bicubic, Benchmark("some", (*benchmark.paths, *more)), 4, PAPER)
        for more in ((), (tmp_path / "flat.png",))
    )
    means = {"psnr", "ssim", "consistency"}
    assert with_page.model_dump(include=means) == alone.model_dump(include=means)
    assert caplog.messages == ["picture flat of some has one colour: it does not count in scores"]
    with pytest.raises(DataError, match="every picture of black has one colour; add photographs"):
        score(bicubic, Benchmark("black", (tmp_path / "flat.png",)), 4, PAPER)


def test_an_exact_result_has_the_largest_psnr(bicubic: Upscaler, tmp_path: Path) -> None:
    ramp = np.zeros((48, 48, 3), np.uint8)
    ramp[:24] = 255  # the network below returns the ground truth of this one
    Image.fromarray(ramp).save(tmp_path / "a.png")

    class Exact(Upscaler):
        def upscale(self, image: Any, scale: Any = None, **options: Any) -> Any:
            return ramp if image.shape == (24, 24, 3) else super().upscale(image, scale)

    exact = Exact(bicubic._engine, "exact", "")  # type: ignore[arg-type]
    row = score(exact, open_benchmark(tmp_path), 2, PAPER)
    assert (row.psnr, row.consistency) == (100, 100)


def test_a_score_that_is_not_finite_is_named(bicubic: Upscaler, benchmark: Benchmark) -> None:
    with pytest.raises(DataError, match=r"cannot be scored .* at scale 2: odd is not a finite"):
        score(bicubic, benchmark, 2, PAPER, also={"odd": lambda *_: math.nan})


def test_a_picture_too_small_for_the_protocol_is_named(bicubic: Upscaler, tmp_path: Path) -> None:
    Image.new("RGB", (24, 24)).save(tmp_path / "small.png")
    with pytest.raises(
        DataError,
        match=r"picture small of .* cannot be scored .* released at scale 8: .* at least 29",
    ):
        score(bicubic, open_benchmark(tmp_path), 8, PROTOCOLS["released"])


def test_a_row_can_be_given_another_name(bicubic: Upscaler, benchmark: Benchmark) -> None:
    assert score(bicubic, benchmark, 2, PAPER, name="φ").model == "φ"


def test_every_model_is_scored_on_every_set_at_its_scales(
    bicubic: Upscaler, benchmark: Benchmark
) -> None:
    told: list[str] = []
    models = {"one": bicubic, "two": bicubic}
    rows = score_all(models, [benchmark], {"one": [2, 4], "two": [2]}, [PAPER], told.append)
    assert [(row.model, row.scale) for row in rows] == [("one", 2), ("one", 4), ("two", 2)]
    assert told.count(f"one, {benchmark.name} ×4") == 2


def test_a_protocol_can_degrade_the_inputs(bicubic: Upscaler, benchmark: Benchmark) -> None:
    clean, coded = (
        score(bicubic, benchmark, 2, find_protocol(name)) for name in ("paper", "paper+jpeg-50")
    )
    assert (clean.protocol, coded.protocol) == ("paper", "paper+jpeg-50")
    assert coded.psnr < clean.psnr
    (pair, *_), name = benchmark.pairs(2), "jpeg-50"
    estimate = PAPER.prepare(bicubic.upscale(degraded(pair.x, name), 2), 2)
    assert coded.pictures[0].psnr == pytest.approx(
        psnr(estimate, PAPER.prepare(pair.y, 2), data_range=255), abs=1e-4
    )


def test_sets_of_one_name_are_refused(bicubic: Upscaler, benchmark: Benchmark) -> None:
    with pytest.raises(ConfigError, match=r"2 sets are called .*; rename"):
        next(score_all({"bicubic": bicubic}, [benchmark] * 2, {"bicubic": [2]}, [PAPER]))


def test_scores_need_no_pytorch() -> None:
    code = """
import sys
sys.modules["torch"] = None
from prosr.evaluation import metrics, niqe, perceptual, protocol, results, scoring
from prosr.evaluation.provenance import machine
assert machine().threads > 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)
