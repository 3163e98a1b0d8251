"""Decoded pictures: limited on disk, almost none in memory, always the same pixels."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prosr.data.decoded import CELL, DecodedPictures, Pixels, detail
from prosr.data.patches import PatchSampler, TrainingPicture, open_pictures, prepared
from prosr.errors import DataError

SIDE = 40
BYTES = SIDE * SIDE * 3 + 128
"""Size of the file of one picture."""


def noise(side: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def make_folder(folder: Path, count: int) -> Path:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(noise(SIDE, index)).save(folder / f"{index:05}.png")
    return folder


def opened(tmp_path: Path, limit: int) -> list[TrainingPicture]:
    pictures, problems = open_pictures(
        [tmp_path / "pictures"], tmp_path / "cache", cache_size=limit
    )
    assert not problems
    return pictures


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.npy"))


def test_the_least_recently_used_pixels_are_evicted_and_every_picture_stays_usable(
    tmp_path: Path,
) -> None:
    make_folder(tmp_path / "pictures", 8)
    pictures = opened(tmp_path, 5 * BYTES)
    assert 3 <= len(kept(tmp_path)) <= 5
    first, *_, last = pictures
    cached = {path.stem for path in kept(tmp_path)}
    assert last.key in cached and first.key not in cached
    for index, picture in enumerate(pictures):
        assert np.array_equal(picture.decoded.pixels(picture.key, picture.path), noise(SIDE, index))
    assert sum(path.stat().st_size for path in kept(tmp_path)) <= 5 * BYTES


def test_pixels_that_are_used_are_kept(tmp_path: Path) -> None:
    decoded = DecodedPictures(tmp_path, limit=4 * BYTES)
    for name in "abc":
        decoded.add(name, noise(SIDE, 0))
        os.utime(tmp_path / f"{name}.npy", ns=(0, ord(name)))
    decoded.pixels("a", Path("a"))
    decoded.add("d", noise(SIDE, 0))
    assert {path.stem for path in tmp_path.glob("*.npy")} == {"a", "c", "d"}


def test_a_picture_larger_than_the_limit_is_decoded_on_demand(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", 1)
    (picture,) = opened(tmp_path, 100)
    assert not kept(tmp_path)
    assert np.array_equal(picture.decoded.pixels(picture.key, picture.path), noise(SIDE, 0))


def test_batches_do_not_depend_on_the_cache(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", 6)
    ample, tight = opened(tmp_path, 100 * BYTES), opened(tmp_path, 2 * BYTES)
    one, two = (PatchSampler(p, lambda step: 2, {2: 6}, 4, 0) for p in (ample, tight))
    for step in range(5):
        a, b = one[step], two[step]
        assert a.sources == b.sources
        assert (a.x == b.x).all() and (a.y == b.y).all()


def at_twice(step: int) -> int:
    return 2


@pytest.mark.timeout(60)
def test_a_worker_decodes_what_was_evicted(tmp_path: Path) -> None:
    """libvips, which this process has used, would hang in a process forked from it."""
    make_folder(tmp_path / "pictures", 3)
    sampler = PatchSampler(opened(tmp_path, 100), at_twice, {2: 6}, 4, 0)
    (batch,) = prepared(sampler, range(3, 4), workers=1)
    np.testing.assert_array_equal(batch.x, sampler[3].x)


def test_batches_are_those_of_older_versions(tmp_path: Path) -> None:
    """A run resumed with a newer version must see the same batches."""
    make_folder(tmp_path / "pictures", 3)
    batch = PatchSampler(opened(tmp_path, 100 * BYTES), lambda step: 2, {2: 6}, 4, 0)[7]
    assert [Path(source).name for source in batch.sources] == [
        "00002.png",
        "00002.png",
        "00002.png",
        "00001.png",
    ]
    assert batch.x.sum(axis=(1, 2, 3)).tolist() == [13879, 14321, 13723, 14549]


def test_a_picture_changed_during_training_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", 1)
    (picture,) = opened(tmp_path, 100)
    Image.fromarray(noise(20, 1)).save(picture.path)
    with pytest.raises(DataError, match=r"00000\.png was changed"):
        _ = picture.decoded.pixels(picture.key, picture.path)


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "pictures", 1)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"No space left .* --cache-size"):
        opened(tmp_path, 100 * BYTES)


def test_a_file_in_place_of_the_cache_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", 1)
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match=r"cache: decoded pictures cannot be stored there \(.+\)"):
        opened(tmp_path, 100 * BYTES)


@pytest.mark.parametrize("suffix", [".npy", ".cells"])
@pytest.mark.parametrize("left", [0, 20])
def test_a_truncated_file_of_the_cache_is_written_again(
    tmp_path: Path, suffix: str, left: int
) -> None:
    make_folder(tmp_path / "pictures", 1)
    opened(tmp_path, 100 * BYTES)
    (stored,) = (tmp_path / "cache").glob(f"*{suffix}")
    whole = stored.read_bytes()
    stored.write_bytes(whole[:left])
    (picture,) = opened(tmp_path, 100 * BYTES)
    assert np.array_equal(picture.decoded.pixels(picture.key, picture.path), noise(SIDE, 0))
    assert stored.read_bytes() == whole


def test_detail_has_one_number_for_each_cell() -> None:
    assert detail(np.zeros((CELL + 1, 3 * CELL, 3), np.uint8)).shape == (2, 3)
    assert detail(np.zeros((5, 5, 3), np.uint8)).max() == 0


@pytest.mark.slow
def test_ten_thousand_pictures_start_within_a_minute_the_second_time(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    make_folder(tmp_path / "pictures", 10_000)
    opened(tmp_path, 10**9)
    files, maps = len(os.listdir("/proc/self/fd")), len(Path("/proc/self/maps").read_text())
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    batch = PatchSampler(opened(tmp_path, 10**9), lambda step: 2, {2: 6}, 16, 0)[0]
    assert time.monotonic() - start < 60
    assert len(batch.sources) == 16
    assert len(os.listdir("/proc/self/fd")) < files + 20
    assert len(Path("/proc/self/maps").read_text()) < 2 * maps
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 50_000
