"""Training pairs: x is the low-resolution input of y, drawn where there is detail."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from prosr.data.degradations import jpeg
from prosr.data.patches import (
    PatchSampler,
    TrainingPicture,
    cut,
    has_room,
    open_pictures,
    prepared,
)
from prosr.data.pipelines import Degradation
from prosr.errors import DataError
from prosr.layouts import validated
from prosr.resample import make_input, tensors
from prosr.scales import SCALES

BICUBIC = Degradation()


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of(tmp_path: Path, *sizes: tuple[int, int]) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, (height, width) in enumerate(sizes):
        Image.fromarray(noise(height, width, index)).save(folder / f"{index}.png")
    return folder


def opened(tmp_path: Path, *sizes: tuple[int, int]) -> list[TrainingPicture]:
    paths = [folder_of(tmp_path, *sizes)]
    return open_pictures(paths, tmp_path / "cache")[0]


def pixels_of(picture: TrainingPicture) -> NDArray[np.uint8]:
    return picture.decoded.pixels(picture.key, picture.path)


@pytest.mark.parametrize("scale", SCALES)
def test_x_is_the_part_of_the_whole_pictures_input(tmp_path: Path, scale: int) -> None:
    (picture,) = opened(tmp_path, (133, 117))
    y = pixels_of(picture)[: 133 // scale * scale, : 117 // scale * scale]
    whole = make_input(np.ascontiguousarray(y), scale)
    patch = 6
    last = [(length // scale) - patch for length in y.shape[:2]]
    for row, column in ((0, 0), (1, 2), (last[0], last[1]), (last[0] // 2, 0)):
        corner, rng = (row * scale, column * scale), np.random.default_rng(0)
        x, truth = cut(picture, corner, patch, scale, BICUBIC, rng)
        np.testing.assert_array_equal(x, whole[row : row + patch, column : column + patch])
        side = patch * scale
        top, left = row * scale, column * scale
        np.testing.assert_array_equal(truth, y[top : top + side, left : left + side])


def test_patches_come_from_where_the_detail_is(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.full((256, 256, 3), 128, np.uint8)
    pixels[:64, 192:] = noise(64, 64)
    Image.fromarray(pixels).save(folder / "a.png")
    (picture,) = open_pictures([folder], tmp_path / "cache")[0]
    rng = np.random.default_rng(0)
    corners = [picture.draw(rng, 32, 2) for _ in range(50)]
    assert all(top <= 64 and left >= 160 for top, left in corners)
    assert all(top % 2 == 0 and left % 2 == 0 for top, left in corners)


def test_pictures_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, (40, 40))
    paths = [folder]
    first = pixels_of(open_pictures(paths, tmp_path / "cache")[0][0])
    monkeypatch.setattr("prosr.data.decoded.read_rgb", lambda path: pytest.fail("decoded again"))
    again = pixels_of(open_pictures(paths, tmp_path / "cache")[0][0])
    np.testing.assert_array_equal(first, again)


def test_unreadable_pictures_are_named_and_the_others_kept(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, (40, 40), (50, 50))
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    pictures, problems = open_pictures([folder], tmp_path / "cache")
    assert len(pictures) == 2
    assert len(problems) == 1 and "bad.jpg" in problems[0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is not a folder"):
        open_pictures([tmp_path / "none"], tmp_path / "cache")


def sampler(
    pictures: list[TrainingPicture],
    scale: int,
    rank: int = 0,
    world: int = 1,
    degradation: Degradation = BICUBIC,
) -> PatchSampler:
    return PatchSampler(pictures, lambda step: scale, {scale: 6}, 4, 0, rank, world, degradation)


@pytest.mark.parametrize("kind", ["bicubic", "real"])
def test_a_batch_depends_only_on_its_step(tmp_path: Path, kind: str) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 64))
    degradation = validated(Degradation, {"kind": kind})
    one, two = (sampler(pictures, 4, degradation=degradation) for _ in range(2))
    assert (one[7].x == two[7].x).all() and (one[7].y == two[7].y).all()
    assert one[7].sources == two[7].sources
    assert not (one[7].x == one[8].x).all()
    assert one[7].x.shape == (4, 6, 6, 3) and one[7].y.shape == (4, 24, 24, 3)


def test_a_degradation_changes_only_the_inputs(tmp_path: Path) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 64))
    clean, coded = (
        sampler(pictures, 2, degradation=one)[5] for one in (BICUBIC, Degradation(kind="jpeg"))
    )
    np.testing.assert_array_equal(clean.y, coded.y)
    assert clean.sources == coded.sources
    assert (clean.x != coded.x).mean() > 0.5


def test_the_share_of_clean_inputs_is_exactly_the_benchmarks(tmp_path: Path) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 64))
    half = Degradation(kind="jpeg", clean=0.5)
    pairs = [
        (clean == mixed).all()
        for step in range(15)
        for clean, mixed in zip(
            sampler(pictures, 2)[step].x,
            sampler(pictures, 2, degradation=half)[step].x,
            strict=True,
        )
    ]
    assert 0.3 < np.mean(pairs) < 0.7


def test_a_patch_of_jpeg_equals_a_part_of_the_whole_jpeg(tmp_path: Path) -> None:
    (picture,) = opened(tmp_path, (160, 160))
    whole, coded = (
        make_input(pixels_of(picture), 2).astype(float),
        Degradation(kind="jpeg", quality=(30, 30)),
    )
    x, _ = cut(picture, (64, 64), 16, 2, coded, np.random.default_rng(3))
    grids = product(range(16), range(16), (1, 2))
    parts = (jpeg(whole, 30, chroma, (a, b))[32:48, 32:48] for a, b, chroma in grids)
    assert sum((x == part).all() for part in parts) == 1


def test_processes_share_a_batch(tmp_path: Path) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 64))
    whole = sampler(pictures, 2)[3]
    parts = [sampler(pictures, 2, rank, 2)[3] for rank in (0, 1)]
    assert (whole.x[:2] == parts[0].x).all() and (whole.x[2:] == parts[1].x).all()


def test_too_small_pictures_are_refused_with_the_size_needed(tmp_path: Path) -> None:
    pictures = opened(tmp_path, (60, 70))
    with pytest.raises(DataError, match=r"none of 1 .* at least 192×192 .* scale 8"):
        PatchSampler(pictures, lambda step: 8, {2: 24, 8: 24}, 4, 0)


def test_all_eight_symmetries_occur(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    ramp = np.add.outer(np.arange(12) * 10, np.arange(12)).astype(np.uint8)
    Image.fromarray(np.stack([ramp] * 3, -1)).save(folder / "a.png")
    pictures = open_pictures([folder], tmp_path / "cache")[0]
    batches = [sampler(pictures, 2)[step] for step in range(20)]
    seen = {batch.y[i, ..., 0].tobytes() for batch in batches for i in range(4)}
    assert len(seen) == 8


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(37, 50), (64, 48), (19, 17)])
def test_inputs_are_made_on_a_device_as_in_benchmarks(scale: int, size: tuple[int, int]) -> None:
    for seed in range(3):
        y = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        y[:9, :9] = 255 * (y[:9, :9] > 127)
        height, width = (side // scale * scale for side in size)
        theirs = tensors.make_input(torch.from_numpy(y), scale)
        np.testing.assert_array_equal(theirs, make_input(y[:height, :width], scale))


@pytest.mark.parametrize("scale", SCALES)
def test_a_device_makes_the_same_batches(tmp_path: Path, scale: int) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 67))
    ours, there = sampler(pictures, scale), sampler(pictures, scale)
    there.device = torch.device("cpu")
    for step, batch in zip(range(8), prepared(there, range(8), workers=1), strict=True):
        assert isinstance(batch.x, torch.Tensor)
        assert (batch.step, batch.scale, batch.sources) == (step, scale, ours[step].sources)
        np.testing.assert_array_equal(batch.x, ours[step].x)
        np.testing.assert_array_equal(batch.y, ours[step].y)


def test_pictures_live_only_on_a_gpu_with_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = opened(tmp_path, (60, 70), (80, 67))
    free = [8 * (60 * 70 + 80 * 67) + 1]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 10**10))
    assert has_room(torch.device("cuda"), pictures)
    assert not has_room(torch.device("cpu"), pictures)
    free[0] -= 1
    assert not has_room(torch.device("cuda"), pictures)
