"""`auto`: what a look at a picture finds, and the network that follows from it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage import data

import prosr
from prosr import jobs
from prosr.errors import ConfigError, ImageError
from prosr.images.compression import blockiness, has_blocks, lossy
from prosr.inference import auto
from prosr.inference.choosing import CLEAN, CLEAN_FROM, ROBUST, choose
from prosr.models import find_weights

Pixels = NDArray[np.uint8]


def photograph() -> Pixels:
    """A photograph without blocks: reduced from a larger one."""
    whole = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]
    return np.asarray(whole.resize((256, 256), Image.Resampling.BICUBIC))


def again(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [30, 50, 75, 90, 96])
def test_a_jpeg_states_its_quality(tmp_path: Path, quality: int) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph()).save(path, quality=quality, icc_profile=b"x" * 70_000)
    kind, found = lossy(path)
    assert kind == "JPEG"
    assert found == pytest.approx(quality, abs=0.6)
    assert choose(path) == (ROBUST, f"JPEG {found:.0f}")
    with Image.open(path) as image:
        assert choose(image) == choose(path)


def test_the_best_jpeg_counts_as_clean(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph()).save(path, quality=CLEAN_FROM + 1)
    assert choose(path) == (CLEAN, f"JPEG {CLEAN_FROM + 1}")
    Image.fromarray(again(photograph(), 50)).save(path, quality=CLEAN_FROM + 1)
    assert choose(path) == (ROBUST, "blocks of JPEG")


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("a.webp", {"Q": 80}, "WebP"),
        ("a.webp", {"lossless": True}, ""),
        ("a.avif", {"Q": 60}, "AVIF"),
        ("a.png", {}, ""),
        ("a.tif", {}, ""),
    ],
)
def test_formats_count(tmp_path: Path, name: str, options: dict[str, Any], reason: str) -> None:
    path = tmp_path / name
    pyvips.Image.new_from_array(photograph()).write_to_file(str(path), **options)
    assert choose(str(path)) == ((ROBUST, reason) if reason else (CLEAN, "not compressed"))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_blocks_are_found_in_any_samples(dtype: str, channels: int) -> None:
    for quality, expected in ((50, True), (None, False)):
        pixels = photograph() if quality is None else again(photograph(), quality)
        samples = np.concatenate((pixels, pixels[..., :1]), axis=2)[3:, 5:, :channels]
        if not channels:
            samples = pixels[3:, 5:, 1]
        factor = {"uint8": 1.0, "uint16": 257.0, "float32": 1 / 255}[dtype]
        assert has_blocks((samples * factor).astype(dtype)) is expected


def test_small_and_flat_pictures_have_no_blocks() -> None:
    assert blockiness(np.zeros((5, 400))) == 0
    assert blockiness(np.full((64, 64), 7.0)) == 0


def drawn() -> Image.Image:
    """Lines of text, whose distance is a multiple of 8."""
    page = Image.new("L", (256, 256), 255)
    for y in range(0, 256, 16):
        ImageDraw.Draw(page).text((3, y), "The quick brown fox jumps over the lazy dog", fill=20)
    return page


@pytest.mark.parametrize(
    "make",
    [
        drawn,
        lambda: Image.fromarray(photograph()).convert("1"),
        lambda: Image.fromarray(photograph()).resize((512, 512), Image.Resampling.BICUBIC),
        lambda: Image.fromarray(photograph()).resize((1024, 1024), Image.Resampling.NEAREST),
    ],
    ids=["text", "dithered", "enlarged", "repeated"],
)
def test_drawings_and_enlarged_pictures_are_not_taken_for_jpeg(
    tmp_path: Path, make: Callable[[], Image.Image]
) -> None:
    make().save(tmp_path / "a.png")
    assert choose(tmp_path / "a.png") == (CLEAN, "not compressed")


@pytest.mark.parametrize("name", ["a.webp", "b.avif", "c.png"])
def test_a_pil_image_gets_the_network_of_its_file(tmp_path: Path, name: str) -> None:
    pixels = again(photograph(), 40)
    picture = Image.fromarray(pixels)
    if name == "c.png":
        picture = Image.fromarray(pixels[..., 1].astype(np.uint16) * 257)
    picture.save(tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert choose(image) == choose(tmp_path / name)
        assert choose(image)[0] == ROBUST


def test_damaged_and_foreign_files_are_chosen_for_without_an_error(tmp_path: Path) -> None:
    for name, content in (
        ("a.jpg", b"\xff\xd8\xff\xdb\0\4"),
        ("b.png", b"\x89PNG"),
        ("c.jpg", b""),
    ):
        (tmp_path / name).write_bytes(content)
        choose(tmp_path / name)
    assert choose(tmp_path / "none.jpg") == (ROBUST, "not readable")
    (tmp_path / "d.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    assert choose(tmp_path / "d.mp4") == (ROBUST, ".mp4")


def test_without_a_second_network_auto_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "bundled_models", lambda: ["bicubic", CLEAN])
    assert prosr.load().name == CLEAN


def test_auto_is_no_network() -> None:
    with pytest.raises(ConfigError, match="name progansr-xs or"):
        prosr.load(strength=0.5)
    with pytest.raises(ConfigError, match="auto takes a network for each picture"):
        find_weights("auto")


def test_each_picture_gets_its_network(tmp_path: Path) -> None:
    small = photograph()[60:100, 60:100]
    paths = [tmp_path / name for name in ("a.jpg", "b.png")]
    for path in paths:
        Image.fromarray(small).save(path)
    upscaler = prosr.load("auto")
    outcomes = [list(jobs.run(upscaler, jobs.find([str(tmp_path)], 2), 2)) for _ in range(2)]
    assert [[one.status for one in some] for some in outcomes] == [["made"] * 2, ["skipped"] * 2]
    choices = [f"{ROBUST}, JPEG 75", f"{CLEAN}, not compressed"]
    assert [one.choice for one in outcomes[0]] == choices
    assert upscaler.work.pixels == 2 * 80 * 80
    texts = [one.job.target.read_bytes() for one in outcomes[0]]
    assert [ROBUST.encode() in text for text in texts] == [True, False]


def test_pictures_in_memory_are_enlarged_by_the_network_that_suits_them(tmp_path: Path) -> None:
    upscaler: Any = prosr.load()
    small = photograph()[60:100, 60:100]
    expected = prosr.load(CLEAN).upscale(small, 2)
    np.testing.assert_array_equal(upscaler.upscale(small, 2), expected)
    assert upscaler.upscale(Image.fromarray(small), size=(70, 70)).size == (70, 70)
    Image.fromarray(small).save(tmp_path / "a.jpg")
    assert upscaler.upscale(tmp_path / "a.jpg", 2).name == "a_x2.jpg"
    with pytest.raises(ConfigError, match="cannot enlarge a list"):
        upscaler.upscale([1], 2)
    with pytest.raises(ConfigError, match="is not a picture"):
        upscaler.upscale(np.zeros((4, 4), bool), 2)
    with pytest.raises(ConfigError, match="output and overwrite are for files"):
        upscaler.upscale(small, 2, output="x.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"b\.png"):
        upscaler.upscale(tmp_path / "b.png", 2)
