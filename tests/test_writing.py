"""Write files: streamed while tiles are computed, atomic, refused before any work."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

import numpy as np
import pytest
from PIL import Image

from prosr.errors import ImageError
from prosr.images import writing as writing_module
from prosr.images.formats import Format, find_format
from prosr.images.metadata import Metadata
from prosr.images.reading import Picture
from prosr.images.samples import to_unit
from prosr.images.writing import Canvas

RNG = np.random.default_rng(0)


def read(path: Path) -> np.ndarray:
    with Picture(path).decoded(path.parent) as samples:
        return to_unit(samples())


def write(path: Path, values: np.ndarray, dtype: str, *, tile: int = 7) -> None:
    height, width, channels = values.shape
    size = (height, width)
    file_format = find_format(path.suffix)
    with Canvas(path, file_format, size, channels, np.dtype(dtype), Metadata()) as canvas:
        for top in reversed(range(0, height, tile)):
            for left in range(0, width, tile):
                canvas.put(top, left, values[top : top + tile, left : left + tile])
        canvas.save()


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
    picture = Picture(tmp_path / name)
    assert (picture.dtype, picture.channels) == (np.dtype(dtype), channels)
    error = np.abs(read(picture.path) - values).max()
    assert error <= {"uint8": 0.5 / 255, "uint16": 0.5 / 65535, "float32": 0}[dtype] + 1e-7


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
def test_lossy_formats_come_close(tmp_path: Path, suffix: str, channels: int) -> None:
    ramp = np.linspace(0, 1, 40, dtype=np.float32)
    values = np.repeat((ramp[:, None] * ramp)[..., None], channels, 2)
    write(tmp_path / f"a.{suffix}", values, "uint8")
    picture = Picture(tmp_path / f"a.{suffix}")
    assert np.abs(read(picture.path) - values).max() < 0.02
    if suffix == "jpg":
        assert picture.channels == channels


def test_avif_keeps_more_than_8_bits(tmp_path: Path) -> None:
    ramp = np.linspace(0.5, 0.52, 64 * 64, dtype=np.float32).reshape(64, 64, 1).repeat(3, 2)
    write(tmp_path / "a.avif", ramp, "uint16", tile=64)
    picture = Picture(tmp_path / "a.avif")
    assert picture.bits == 12
    assert len(np.unique(read(picture.path)[..., 1])) > 30


def canvas_of(path: Path, side: int, file_format: Format | None = None) -> Canvas:
    kind = file_format or find_format(path.suffix)
    return Canvas(path, kind, (side, side), 3, np.dtype(np.uint8), Metadata())


def encoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "encoder" in thread.name]


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = monotonic() + 30
    while not reached():
        assert monotonic() < deadline
        sleep(0.01)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_complete_rows_are_encoded_while_others_are_missing(tmp_path: Path, suffix: str) -> None:
    noise = RNG.random((1500, 1500, 3), dtype=np.float32)
    with canvas_of(tmp_path / f"a.{suffix}", 1500) as canvas:
        canvas.put(0, 0, noise[:1499, :900])
        canvas.put(0, 900, noise[:1499, 900:])
        wait_until(lambda: sum(path.stat().st_size for path in tmp_path.iterdir()) > 100_000)
        canvas.put(1499, 0, noise[1499:])
        assert not canvas.target.exists()
        canvas.save()
    assert os.listdir(tmp_path) == [f"a.{suffix}"]
    assert np.abs(read(canvas.target) - noise).mean() < 0.1


def test_blocks_may_come_in_any_order(tmp_path: Path) -> None:
    values = RNG.random((60, 60, 3), dtype=np.float32)
    places = [(top, left) for top in range(0, 60, 10) for left in range(0, 60, 15)]
    with canvas_of(tmp_path / "a.png", 60) as canvas:
        for top, left in RNG.permutation(places):
            canvas.put(top, left, values[top : top + 10, left : left + 15])
        canvas.save()
    assert np.abs(read(canvas.target) - values).max() <= 0.5 / 255 + 1e-7


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
@pytest.mark.parametrize("rows", [0, 400, 999, 1000])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ValueError, None])
def test_a_block_that_does_not_save_leaves_no_file_and_no_thread(
    tmp_path: Path, suffix: str, rows: int, trouble: type[BaseException] | None
) -> None:
    target = tmp_path / f"a.{suffix}"
    target.write_bytes(b"old")
    with pytest.raises(trouble) if trouble else nullcontext(), canvas_of(target, 1000) as canvas:
        if rows:
            canvas.put(0, 0, RNG.random((rows, 1000, 3), dtype=np.float32))
        if trouble:
            raise trouble
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_bytes() == b"old" and not encoders()


def test_an_encoder_that_fails_stops_the_work(tmp_path: Path) -> None:
    unlimited = replace(find_format("jpg"), side=10**6)
    line = np.zeros((1, 65_501, 3), np.float32)
    size, depth = (1_000, 65_501), np.dtype(np.uint8)
    with (
        pytest.raises(ImageError, match=r"a\.jpg: cannot be written \(.*65500.*\); free disk"),
        Canvas(tmp_path / "a.jpg", unlimited, size, 3, depth, Metadata()) as canvas,
    ):
        for row in range(1_000):
            canvas.put(row, 0, line)
            sleep(0.01)
    assert not os.listdir(tmp_path) and not encoders()


def test_a_long_encoding_can_be_interrupted(tmp_path: Path) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    noise = RNG.random((3000, 3000, 3), dtype=np.float32)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), canvas_of(tmp_path / "a.png", 3000) as canvas:
            canvas.put(0, 0, noise)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            canvas.save()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not os.listdir(tmp_path) and not encoders()


@pytest.mark.parametrize("room", [9_000, 30_700])
def test_a_full_disk_is_an_error_of_one_line_and_leaves_nothing(tmp_path: Path, room: int) -> None:
    """9,000 bytes are too few for the samples, 30,700 for a PNG, which adds a byte to a row."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(ImageError) as caught:
            write(tmp_path / "a.png", RNG.random((1000, 10, 3), dtype=np.float32), "uint8")
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
            Canvas(tmp_path / name, find_format(name[1:]), size, 3, np.dtype(np.uint8), Metadata())
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("name", "side"), [("a.jpg", 65_500), ("a.webp", 16_383)])
def test_the_longest_sides_are_written(tmp_path: Path, name: str, side: int) -> None:
    write(tmp_path / name, np.zeros((1, side, 3), np.float32), "uint8", tile=side)
    assert Picture(tmp_path / name).width == side


def test_alpha_is_not_dropped_silently(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="JPEG cannot hold transparency; use PNG"):
        Canvas(tmp_path / "a.jpg", find_format("jpg"), (9, 9), 4, np.dtype(np.uint8), Metadata())


def test_too_little_disk_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"needs .* MB of disk"):
        Canvas(
            tmp_path / "a.tif",
            find_format("tif"),
            (2**30, 2**20),
            3,
            np.dtype(np.uint8),
            Metadata(),
        )


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.png"
    with pytest.raises(ImageError, match="its folder is a file; name another folder"):
        write(path, np.zeros((2, 2, 1), np.float32), "uint8")


def test_a_read_only_folder_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(ImageError, match=r"a\.png: its folder is read-only; name another output"):
        Canvas(tmp_path / "a.png", find_format("png"), (9, 9), 3, np.dtype(np.uint8), Metadata())


def test_an_unknown_format_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ImageError, match=r"'\.bmp' is not .* JPEG, PNG, WebP, TIFF, AVIF"):
        find_format(".bmp")


def test_special_characters_in_names_are_kept(tmp_path: Path) -> None:
    for name in ("a b[1].png", "é\n漢.webp", "%d.jpg"):
        write(tmp_path / name, np.zeros((4, 4, 3), np.float32), "uint8")
        with Image.open(tmp_path / name) as image:
            assert image.size == (4, 4)
