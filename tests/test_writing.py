"""Arrays into files: streamed, atomic, and refused in time."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image

from prosr.errors import ImageError
from prosr.images import Canvas, Metadata, find_format, open_picture
from prosr.images import writing as writing_module

RNG = np.random.default_rng(0)


def read(path: Path) -> np.ndarray:
    with open_picture(path).decoded(path.parent) as samples:
        return samples.window(0, samples.height, 0, samples.width)


def write(path: Path, values: np.ndarray, dtype: str, *, tile: int = 7) -> None:
    height, width, channels = values.shape
    size = (height, width)
    with Canvas(path, find_format(path.suffix), size, channels, np.dtype(dtype)) as canvas:
        for top in reversed(range(0, height, tile)):
            for left in range(0, width, tile):
                canvas.put(top, left, values[top : top + tile, left : left + tile])
        canvas.save(Metadata())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", "uint8"), ("a.png", "uint16"), ("a.tif", "uint8"), ("a.tif", "float32")],
)
def test_lossless_formats_hold_what_was_put(
    tmp_path: Path, name: str, dtype: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_module, "_STRIP", 300)  # several strips, the last one short
    values = RNG.random((31, 17, channels), dtype=np.float32)
    write(tmp_path / name, values, dtype)
    picture = open_picture(tmp_path / name)
    assert (picture.dtype, picture.channels) == (np.dtype(dtype), channels)
    error = np.abs(read(picture.path) - values).max()
    assert error <= {"uint8": 0.5 / 255, "uint16": 0.5 / 65535, "float32": 0}[dtype] + 1e-7


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str, channels: int) -> None:
    ramp = np.linspace(0, 1, 40, dtype=np.float32)
    values = np.repeat((ramp[:, None] * ramp)[..., None], channels, 2)
    write(tmp_path / f"a.{suffix}", values, "uint8")
    picture = open_picture(tmp_path / f"a.{suffix}")
    assert np.abs(read(picture.path) - values).max() < 0.02
    if suffix == "jpg":
        assert picture.channels == channels


def test_avif_keeps_more_than_8_bits(tmp_path: Path) -> None:
    ramp = np.linspace(0.5, 0.52, 64 * 64, dtype=np.float32).reshape(64, 64, 1).repeat(3, 2)
    write(tmp_path / "a.avif", ramp, "uint16", tile=64)
    picture = open_picture(tmp_path / "a.avif")
    assert picture.bits == 12
    assert len(np.unique(read(picture.path)[..., 1])) > 30


def test_nothing_is_left_when_work_is_broken_off(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    with (
        pytest.raises(KeyboardInterrupt),
        Canvas(tmp_path / "a.png", find_format("png"), (9, 9), 3, np.dtype(np.uint8)) as canvas,
    ):
        canvas.put(0, 0, np.zeros((9, 9, 3), np.float32))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


def test_a_long_encoding_can_be_broken_off(tmp_path: Path) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    noise = RNG.random((3000, 3000, 3), dtype=np.float32)
    before = signal.signal(signal.SIGALRM, interrupt)
    size = (3000, 3000)
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            Canvas(tmp_path / "a.png", find_format("png"), size, 3, np.dtype(np.uint8)) as canvas,
        ):
            canvas.put(0, 0, noise)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            canvas.save(Metadata())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("room", [9_000, 30_400])
def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path: Path, room: int) -> None:
    """9,000 bytes are too few for the samples, 30,400 for what becomes of noise in PNG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(ImageError) as caught:
            write(tmp_path / "a.png", RNG.random((100, 100, 3), dtype=np.float32), "uint8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "side"), [("a.jpg", 65_501), ("a.webp", 16_384), ("a.avif", 16_385)]
)
def test_sizes_beyond_a_format_are_refused_before_any_work(
    tmp_path: Path, name: str, side: int
) -> None:
    for size in ((side, 1), (1, side)):
        with pytest.raises(ImageError, match="use PNG or TIFF"):
            Canvas(tmp_path / name, find_format(name[1:]), size, 3, np.dtype(np.uint8))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65_500), ("a.webp", 16_383)])
def test_the_longest_sides_do_work(tmp_path: Path, name: str, side: int) -> None:
    write(tmp_path / name, np.zeros((1, side, 3), np.float32), "uint8", tile=side)
    assert open_picture(tmp_path / name).width == side


def test_alpha_is_not_dropped_silently(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="JPEG holds no transparency; use PNG"):
        Canvas(tmp_path / "a.jpg", find_format("jpg"), (9, 9), 4, np.dtype(np.uint8))


def test_a_full_disk_is_seen_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"needs .* MB of disk"):
        Canvas(tmp_path / "a.tif", find_format("tif"), (2**30, 2**20), 3, np.dtype(np.uint8))


def test_a_folder_that_takes_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.png"
    with pytest.raises(ImageError, match="a file stands where its folder should be"):
        write(path, np.zeros((2, 2, 1), np.float32), "uint8")


def test_a_read_only_folder_is_seen_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(ImageError, match=r"a\.png: its folder is read-only; give another output"):
        Canvas(tmp_path / "a.png", find_format("png"), (9, 9), 3, np.dtype(np.uint8))


def test_an_unknown_format_is_named_with_those_known() -> None:
    with pytest.raises(ImageError, match=r"'\.bmp' is not .* JPEG, PNG, WebP, TIFF, AVIF"):
        find_format(".bmp")


def test_names_are_only_names(tmp_path: Path) -> None:
    for name in ("a b[1].png", "é\n漢.webp", "%d.jpg"):
        write(tmp_path / name, np.zeros((4, 4, 3), np.float32), "uint8")
        with Image.open(tmp_path / name) as image:
            assert image.size == (4, 4)
