"""Whole pictures through the one door: kinds, channels, depth and tiles."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import prosr
from prosr.errors import CheckpointError, ConfigError, ImageError, InferenceError
from prosr.images.provenance import origin_of
from prosr.images.reading import Picture, read_rgb
from prosr.images.writing import Canvas
from prosr.inference import auto, resizing
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.loading import load
from prosr.inference.tiling import Block
from prosr.inference.upscaler import Upscaler
from prosr.layouts import ProSRConfig
from prosr.nets.build import build

RNG = np.random.default_rng(0)
CONFIG = ProSRConfig(features=6, growth=(3, 2, 2), dcus=((2,), (1,), (1,)), value_range=1.0)
torch.manual_seed(0)
NET = build(CONFIG).eval()
RESERVED = TorchEngine(NET, 10**9).reserved
WHOLE = Upscaler(TorchEngine(NET, 10**9), "tiny", "0123456789abcdef")
TILED = Upscaler(TorchEngine(NET, RESERVED + 5_000_000), "tiny", "0123456789abcdef")


def tiles_of(upscaler: Upscaler, array: NDArray[Any], scale: int) -> int:
    counts: list[tuple[int, int]] = []
    upscaler.upscale(array, scale, progress=lambda done, total: counts.append((done, total)))
    assert counts == [(done, counts[0][1]) for done in range(counts[0][1] + 1)]
    return counts[0][1]


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4), (1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_an_array_gives_an_array_of_its_kind(
    shape: tuple[int, ...], dtype: str, scale: int
) -> None:
    unit = RNG.random(shape)
    array = (unit * (np.iinfo(dtype).max if dtype[0] == "u" else 1)).astype(dtype)
    result = WHOLE.upscale(array, scale)
    assert result.dtype == array.dtype
    assert result.shape == (scale * shape[0], scale * shape[1], *shape[2:])
    if dtype[0] == "f":
        assert result.min() >= 0 and result.max() <= 1


def test_it_is_the_networks_own_picture() -> None:
    array = RNG.random((12, 10, 3), dtype=np.float32)
    with torch.inference_mode():
        expected = NET(torch.from_numpy(array).permute(2, 0, 1)[None], 4).clamp(0, 1)
    error = np.abs(WHOLE.upscale(array, 4) - expected[0].permute(1, 2, 0).numpy())
    assert error.max() < 1e-6


@settings(max_examples=25)
@given(
    st.sampled_from([2, 4, 8]),
    st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4)),
)
def test_tiled_equals_whole(scale: int, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(shape).random(shape, dtype=np.float32)
    limit = RESERVED + {2: 2, 4: 5, 8: 16}[scale] * 1_000_000
    tiled = Upscaler(TorchEngine(NET, limit), "tiny", "")
    array[..., -1] = array[..., -1].round() if shape[2] in (2, 4) else array[..., -1]
    assert np.abs(tiled.upscale(array, scale) - WHOLE.upscale(array, scale)).max() < 1e-5


def test_little_memory_means_many_tiles() -> None:
    array = np.zeros((70, 70, 3), np.uint8)
    assert tiles_of(WHOLE, array, 4) == 1
    assert tiles_of(TILED, array, 4) >= 4


@pytest.mark.parametrize(("name", "colours"), [("gray", 1), ("RGB", 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_opaque_alpha_changes_nothing(name: str, colours: int, dtype: str) -> None:
    array = RNG.integers(0, np.iinfo(dtype).max, (40, 40, colours)).astype(dtype)
    opaque = np.concatenate((array, np.full_like(array[..., :1], np.iinfo(dtype).max)), -1)
    result = TILED.upscale(opaque, 4)
    assert np.array_equal(result[..., :-1], TILED.upscale(array, 4))
    assert (result[..., -1] == np.iinfo(dtype).max).all()


def test_the_colour_under_transparent_pixels_does_not_show() -> None:
    """No fringe: a red disk on invisible black is as red at its edge as on invisible red."""
    y, x = np.mgrid[:32, :32] - 15.5
    alpha = (np.clip(10.5 - np.hypot(x, y), 0, 1) * 255).astype(np.uint8)
    red = np.zeros((32, 32, 4), np.uint8)
    red[..., 0], red[..., 3] = 220, alpha
    black = red.copy()
    black[alpha == 0, :3] = 0
    bicubic = load("bicubic")
    on_red, on_black = bicubic.upscale(red, 4), bicubic.upscale(black, 4)
    assert np.array_equal(on_red[..., 3], on_black[..., 3])
    seen = on_red[..., 3] > 0
    assert np.abs(on_red[seen].astype(int) - on_black[seen]).max() <= 1


def test_gray_is_the_luma_of_the_same_in_rgb() -> None:
    gray = RNG.random((9, 7), dtype=np.float32)
    rgb = WHOLE.upscale(np.repeat(gray[..., None], 3, 2), 2)
    luma = np.clip(rgb @ np.array([0.299, 0.587, 0.114], np.float32), 0, 1)
    inside = (rgb > 0).all(-1) & (rgb < 1).all(-1)
    assert np.abs(WHOLE.upscale(gray, 2) - luma)[inside].max() < 1e-6


@pytest.mark.parametrize(
    ("mode", "suffix", "dtype"),
    [
        ("L", "png", "uint8"),
        ("LA", "png", "uint8"),
        ("RGBA", "tif", "uint8"),
        ("I;16", "png", "uint16"),
        ("I;16", "tif", "uint16"),
        ("L", "jpg", "uint8"),
        ("RGBA", "webp", "uint8"),
        ("RGBA", "avif", "uint8"),
    ],
)
def test_a_file_gives_a_file_of_its_kind(
    tmp_path: Path, mode: str, suffix: str, dtype: str
) -> None:
    if mode == "I;16":
        image = Image.fromarray(RNG.integers(0, 65536, (30, 20), dtype=np.uint16))
    else:
        image = Image.fromarray(RNG.integers(0, 256, (30, 20, 4), dtype=np.uint8)).convert(mode)
    path = tmp_path / f"a b.{suffix}"
    image.save(path)
    target = TILED.upscale(path, 2)
    assert target == tmp_path / f"a b_x2.{suffix}"
    before, after = Picture(path), Picture(target)
    assert (after.width, after.height, after.dtype) == (40, 60, np.dtype(dtype))
    assert after.channels == before.channels
    assert after.making.mark == TILED.mark(2) == "prosr tiny x2 0123456789ab"
    assert after.making.origin == origin_of(path)


def test_a_file_holds_what_an_array_gives(tmp_path: Path) -> None:
    array = RNG.integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    target = TILED.upscale(tmp_path / "a.png", 4, output=tmp_path / "b.png")
    assert np.array_equal(read_rgb(target), TILED.upscale(array, 4))


def test_a_pil_image_gives_a_pil_image() -> None:
    array = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    result = WHOLE.upscale(Image.fromarray(array), 2)
    assert np.array_equal(np.asarray(result), WHOLE.upscale(array, 2))


def test_jpeg_takes_a_picture_whose_alpha_hides_nothing(tmp_path: Path) -> None:
    array = np.full((8, 8, 4), 255, np.uint8)
    Image.fromarray(array).save(tmp_path / "a.png")
    WHOLE.upscale(tmp_path / "a.png", 2, output=tmp_path / "a.jpg")
    array[2, 2, 3] = 100
    Image.fromarray(array).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="cannot hold transparency"):
        WHOLE.upscale(tmp_path / "a.png", 2, output=tmp_path / "b.jpg")


@pytest.mark.parametrize(("source", "target"), [("a.png", "b.webp"), ("a.webp", "b.png")])
def test_what_is_coded_as_a_whole_must_fit_into_memory(
    tmp_path: Path, source: str, target: str
) -> None:
    Image.new("L", (1000, 1000)).save(tmp_path / source)
    upscaler = Upscaler(TorchEngine(NET, RESERVED + 9_000_000), "tiny", "")
    with pytest.raises(ImageError, match=r"as a whole, .* allow more memory, or"):
        upscaler.upscale(tmp_path / source, 8, output=tmp_path / target)
    assert os.listdir(tmp_path) == [source]


def test_a_folder_as_output_takes_the_result(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.png", tmp_path / "large"
    Image.new("RGB", (4, 3)).save(path)
    folder.mkdir()
    upscaler = load("bicubic")
    assert upscaler.estimate(path, 2, output=folder).width == 8
    assert upscaler.upscale(path, 2, output=folder) == folder / "a_x2.png"
    assert [entry.name for entry in folder.iterdir()] == ["a_x2.png"]


def test_files_are_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path)
    target = WHOLE.upscale(path, 2)
    with pytest.raises(ImageError, match="exists already"):
        WHOLE.upscale(path, 2)
    WHOLE.upscale(path, 2, overwrite=True)
    (tmp_path / "link.png").symlink_to(path)
    for itself in (path, tmp_path / "link.png"):
        with pytest.raises(ImageError, match="is the input itself"):
            WHOLE.upscale(path, 2, output=itself, overwrite=True)
    assert read_rgb(path).shape == (4, 4, 3)
    assert read_rgb(target).shape == (8, 8, 3)


def test_damage_is_found_before_work_begins(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RNG.integers(0, 256, (99, 99), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-999])
    calls: list[int] = []
    with pytest.raises(ImageError, match="damaged"):
        WHOLE.upscale(path, 2, progress=lambda done, total: calls.append(done))
    assert not calls
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_failing_network_leaves_no_result(tmp_path: Path) -> None:
    class BrokenEngine(TorchEngine):
        def run(self, x: Block, scale: int) -> Block:
            raise RuntimeError("no")

    path = tmp_path / "a.png"
    Image.new("RGB", (99, 99)).save(path)
    with pytest.raises(InferenceError, match="tile 1 of 1"):
        Upscaler(BrokenEngine(NET, 10**9), "broken", "").upscale(path, 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_result_is_never_in_memory_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (300, 200), (9, 99, 199)).save(tmp_path / "a.png")
    largest = []
    put = Canvas.put

    def watching(self: Canvas, top: int, left: int, block: NDArray[np.float32]) -> None:
        largest.append(block.size)
        put(self, top, left, block)

    monkeypatch.setattr(Canvas, "put", watching)
    TILED.upscale(tmp_path / "a.png", 4)
    assert max(largest) < 300 * 200 * 3 * 16 / 10


@pytest.mark.parametrize("thing", [3, None, b"a.jpg", [[1, 2]], torch.zeros(3, 4, 4)])
def test_what_is_no_picture_is_refused(thing: Any) -> None:
    with pytest.raises(ConfigError, match="give a path, a PIL image or a numpy array"):
        WHOLE.upscale(thing, 2)


def test_a_wrong_request_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="scale 17 is not a number from 1 to 16"):
        WHOLE.upscale(np.zeros((4, 4)), 17)
    with pytest.raises(ConfigError, match="output and overwrite are for files"):
        WHOLE.upscale(np.zeros((4, 4)), 2, output="a.png")  # type: ignore[call-overload]
    with pytest.raises(ImageError, match="no such file"):
        WHOLE.upscale(tmp_path / "a.png", 2)
    with pytest.raises(ConfigError, match="too little memory for tiny at scale 8"):
        Upscaler(TorchEngine(NET, RESERVED + 200_000), "tiny", "").upscale(np.zeros((99, 99)), 8)


@pytest.mark.parametrize("scale", [4.0, np.int64(4)])
def test_a_scale_is_a_number_of_whatever_type(scale: Any) -> None:
    assert load("bicubic").upscale(np.zeros((2, 3), np.uint8), scale).shape == (8, 12)


def test_models_are_loaded_by_name() -> None:
    assert prosr.load is auto.load
    assert (load("bicubic").name, load("bicubic").sha256) == ("bicubic", "")
    with pytest.raises(ConfigError, match="no model is called 'bicubi'"):
        load("bicubi")
    with pytest.raises(CheckpointError, match="no such file"):
        load("missing.safetensors")


def test_tiles_grow_no_further_than_they_get_faster() -> None:
    roomy, roomier = (
        prosr.load("prosr-xs", engine="torch", max_memory=gigabytes * 10**9)
        for gigabytes in (8, 16)
    )
    size = (4000, 4000)
    assert roomier.memory(size, 2) < 1.1 * roomy.memory(size, 2) < 2_000_000_000


@pytest.mark.parametrize("model", ["prosr-xs", "bicubic"])
def test_the_largest_tile_has_20_halos_or_256_pixels_a_side(model: str) -> None:
    upscaler = prosr.load(model, engine="torch", max_memory=8 * 10**9)
    halo = upscaler._engine.radius(2)
    route = upscaler.route((4000, 4000), 2)
    most = max(tile.area for tile in resizing.tiles_of(route, upscaler._engine, model))
    side = max(20 * halo, 256)
    assert (0.8 * side) ** 2 < most <= side**2


def test_threads_can_share_an_upscaler() -> None:
    upscaler = prosr.load("bicubic", engine="openvino")
    pictures = [RNG.integers(0, 256, (side, 140, 3), dtype=np.uint8) for side in (20, 150)]
    expected = [upscaler.upscale(picture, 2) for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        given = list(threads.map(lambda picture: upscaler.upscale(picture, 2), 8 * pictures))
    for y, same in zip(given, 8 * expected, strict=True):
        np.testing.assert_array_equal(y, same)
