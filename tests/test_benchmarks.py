"""Any folder of pictures is a benchmark set; problems are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prosr.data.benchmarks import open_benchmark
from prosr.errors import DataError, ImageError
from prosr.scales import SCALES


def save(path: Path, height: int, width: int, mode: str = "RGB") -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def test_a_set_is_its_folders_pictures_sorted_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "Mine"
    (folder / "inner.png").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "C.PNG", ".hidden.png"):
        save(folder / name, 8, 8)
    (folder / "notes.txt").write_text("not a picture")
    benchmark = open_benchmark(folder)
    assert benchmark.name == "Mine"
    assert [path.name for path in benchmark.paths] == ["C.PNG", "a.jpg", "b.png"]


@pytest.mark.parametrize("scale", SCALES)
def test_the_ground_truth_is_cropped_at_right_and_bottom(tmp_path: Path, scale: int) -> None:
    save(tmp_path / "a.png", 29, 35)
    [pair] = open_benchmark(tmp_path).pairs(scale)
    height, width = 29 // scale, 35 // scale
    with Image.open(tmp_path / "a.png") as whole:
        expected = np.asarray(whole)[: height * scale, : width * scale]
    np.testing.assert_array_equal(pair.y, expected)
    assert pair.x.shape == (height, width, 3)
    assert pair.x.dtype == np.uint8


def test_a_gray_picture_becomes_rgb(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 8, 8, mode="L")
    [pair] = open_benchmark(tmp_path).pairs(2)
    assert pair.y.shape == (8, 8, 3)
    assert (pair.y == pair.y[..., :1]).all()


def test_a_set_can_be_limited_to_its_first_pictures(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / f"{name}.png", 8, 8)
    assert [pair.name for pair in open_benchmark(tmp_path).first(2).pairs(4)] == ["a", "b"]


@pytest.mark.parametrize("scale", SCALES)
def test_inputs_are_the_published_ones(prosr_data: Path, scale: int) -> None:
    golden = prosr_data / "golden"
    for pair in open_benchmark(golden / "set5_hr").pairs(scale):
        with Image.open(golden / f"set5_lr_x{scale}" / f"{pair.name}.png") as published:
            np.testing.assert_array_equal(pair.x, np.asarray(published.convert("RGB")))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder; give a folder of pictures"):
        open_benchmark(tmp_path / "nowhere")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no pictures; add some"):
        open_benchmark(tmp_path)


def test_a_folder_of_sets_is_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("Set5", "Set14"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match=r"give one of its folders \(Set14, Set5\)"):
        open_benchmark(tmp_path)


def test_a_picture_below_the_scale_is_named(tmp_path: Path) -> None:
    save(tmp_path / "tiny.png", 7, 30)
    with pytest.raises(DataError, match=r"tiny\.png has 30×7 pixels, too few for scale 8"):
        list(open_benchmark(tmp_path).pairs(8))


def test_a_file_that_is_not_a_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"broken\.png"):
        list(open_benchmark(tmp_path).pairs(2))
