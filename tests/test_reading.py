"""Read files: the right pixels, or an error of one line."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray
from PIL import Image

from prosr.errors import ImageError
from prosr.images import loading as loading_module
from prosr.images.reading import Picture, read_rgb
from prosr.images.samples import to_unit

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 20, 4), dtype=np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def seen(path: Path, mode: str) -> NDArray[np.uint8]:
    """The picture as another library reads it."""
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def whole(path: Path) -> NDArray[np.float32]:
    with Picture(path).decoded(path.parent) as samples:
        return to_unit(samples())


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("1", 1)]
)
def test_png_keeps_its_channels_and_samples(tmp_path: Path, mode: str, channels: int) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    path = saved(tmp_path, image, "a.png")
    expected = np.asarray(image.convert("L") if mode == "1" else image).reshape(30, 20, channels)
    assert np.array_equal(whole(path) * 255, expected)


def test_rgb_equals_that_of_another_reader(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "RGBA", "P"):
        image = Image.fromarray(NOISE).convert("RGB").convert(mode)
        path = saved(tmp_path, image, f"{mode}.png")
        assert np.array_equal(read_rgb(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "gif", "avif"])
def test_other_formats_look_as_in_another_reader(tmp_path: Path, suffix: str) -> None:
    ramp = np.stack(np.meshgrid(np.arange(0, 256, 8), np.arange(0, 256, 8)), -1)
    image = Image.fromarray(np.concatenate((ramp, ramp[..., :1] // 2), -1).astype(np.uint8))
    path = saved(tmp_path, image, f"a.{suffix}")
    difference = np.abs(read_rgb(path).astype(int) - seen(path, "RGB"))
    assert difference.max() <= 8  # AVIF: readers enlarge half-size chroma differently


def test_16_bit_samples_are_kept(tmp_path: Path) -> None:
    samples = RNG.integers(0, 65536, (9, 7), dtype=np.uint16)
    path = saved(tmp_path, Image.fromarray(samples), "a.png")
    assert Picture(path).dtype == np.uint16
    assert np.array_equal(np.rint(whole(path)[..., 0] * 65535), samples)


def test_a_transparent_palette_colour_becomes_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(NOISE[..., :3]).quantize(8)
    path = saved(tmp_path, image, "a.png", transparency=3)
    expected = seen(path, "RGBA")
    assert np.array_equal(whole(path) * 255, expected)


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:4, :, 0] = 255  # cyan above white paper
    path = saved(tmp_path, Image.fromarray(ink, "CMYK"), "a.jpg")
    rgb = read_rgb(path)
    assert rgb[7, 4].min() >= 250
    assert rgb[0, 4, 0] < 60 and rgb[0, 4, 2] > 180


def test_float_samples_outside_the_range_are_refused(tmp_path: Path) -> None:
    for high in (1.0, 255.0):
        path = tmp_path / f"{high}.tif"
        pyvips.Image.new_from_array(np.linspace(0, high, 64, dtype=np.float32).reshape(8, 8)).copy(
            interpretation="b-w"
        ).tiffsave(str(path))
        if high == 1:
            whole(path)
        else:
            for read in (whole, read_rgb):
                with pytest.raises(ImageError, match="from 0 to 255; scale them to 0…1"):
                    read(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_are_upright_in_any_order(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(NOISE[..., :3])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, image, "a.png", exif=exif)
    upright, picture = read_rgb(path), Picture(path)
    assert (picture.height, picture.width) == upright.shape[:2]
    with picture.decoded(tmp_path) as samples:
        for top, bottom, left, right in [(5, 20, 0, 20), (0, 9, 3, 8), (19, 20, 0, 2)]:
            expected = upright[top:bottom, left:right] / np.float32(255)
            assert np.array_equal(to_unit(samples()[top:bottom, left:right]), expected)


def test_tiles_of_a_tiff_count_as_memory(tmp_path: Path) -> None:
    path = tmp_path / "tiled.tif"
    image = pyvips.Image.black(300, 200, bands=3).copy(interpretation="srgb")
    image.tiffsave(str(path), tile=True, tile_width=256, tile_height=128)
    assert Picture(path).decoding == 3 * (512 * 128 * 3)
    image.tiffsave(str(path))
    assert Picture(path).decoding < 300 * 200 * 3


def test_one_large_strip_of_a_tiff_is_read_and_counts_as_memory(tmp_path: Path) -> None:
    path, apart = tmp_path / "strip.tif", tmp_path / "apart.tif"
    noise = np.random.default_rng(0).integers(0, 256, (7_000, 3_000, 3), np.uint8)
    tifffile.imwrite(path, noise, compression="zlib", rowsperstrip=7_000, photometric="rgb")
    picture = Picture(path)
    assert path.stat().st_size < picture.decoding < 2 * path.stat().st_size
    with picture.decoded(tmp_path) as samples:
        expected = noise[6_990:, :9] / np.float32(255)
        assert np.array_equal(to_unit(samples()[6_990:, :9]), expected)
    tifffile.imwrite(
        apart, np.moveaxis(noise[:99], 2, 0), photometric="rgb", planarconfig="separate"
    )
    assert Picture(apart).decoding >= noise[:99].nbytes


@pytest.mark.parametrize(
    ("mode", "subsampling", "samples"), [("RGB", 0, 3), ("RGB", 2, 1.5), ("L", 0, 1)]
)
def test_coefficients_of_a_progressive_jpeg_count_as_memory(
    tmp_path: Path, mode: str, subsampling: int, samples: float
) -> None:
    path = tmp_path / "a.jpg"
    picture = Image.new(mode, (64, 48))
    picture.save(path, progressive=True, subsampling=subsampling)
    # 16 bits per coefficient, and up to 30 % for the decoder.
    assert 1 <= Picture(path).decoding / (2 * samples * 64 * 48) <= 1.3
    picture.save(path)
    assert Picture(path).decoding == 0


def test_decoding_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prosr.images.damage._BATCH", 500)  # several batches, the last one short
    path = saved(tmp_path, Image.fromarray(NOISE), "a.png")
    assert np.array_equal(whole(path) * 255, NOISE)
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "gif"])
def test_a_truncated_file_is_an_error_of_one_line(tmp_path: Path, suffix: str) -> None:
    buffer = BytesIO()
    image = Image.fromarray(RNG.integers(0, 256, (99, 99, 3), dtype=np.uint8))
    image.save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3])
    with pytest.raises(ImageError) as caught:
        whole(path)
    assert str(caught.value).startswith(f"{path}: damaged") and "\n" not in str(caught.value)
    with pytest.raises(ImageError):
        read_rgb(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty file"), (b"hello", "not a picture"), (b"<svg xmlns=''/>", "not a picture")],
)
def test_other_content_is_an_error(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a\n.png").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\\n\.png: {why}"):
        Picture(tmp_path / "a\n.png")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        Picture(tmp_path / "a.png")
    with pytest.raises(ImageError, match="is a folder"):
        Picture(tmp_path)


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(NOISE[..., i]) for i in range(3)]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"holds 3 pictures .* extract its pictures"):
        Picture(path)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, Image.fromarray(NOISE), "a.png")
    monkeypatch.setattr(loading_module, "MAX_PIXELS", 599)
    with pytest.raises(ImageError, match="20×30 pixels; cut it"):
        Picture(path)


@pytest.mark.parametrize("name", ["a b.png", "a[1].png", "é ü 漢.png", "a\nb.png", "lies.jpg"])
def test_special_characters_and_wrong_suffixes_are_read(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, Image.fromarray(NOISE), name, format="png")
    assert read_rgb(path).shape == (30, 20, 3)
    assert Picture(path).format == "PNG"


def test_opacity_is_known(tmp_path: Path) -> None:
    alpha = NOISE.copy()
    alpha[..., 3] = 255
    assert Picture(saved(tmp_path, Image.fromarray(alpha), "a.png")).is_opaque()
    alpha[5, 5, 3] = 254
    assert not Picture(saved(tmp_path, Image.fromarray(alpha), "a.png")).is_opaque()


def heic(name: str) -> Path:
    return Path(__file__).with_name("data") / name


def test_heic_is_read_upright_with_its_metadata() -> None:
    """Stored as 48×32 and turned by the container; its EXIF still states the turn."""
    picture = Picture(heic("turned.heic"))
    ramp = np.add.outer(np.arange(32) * 4, np.arange(48) * 2)
    stored = np.dstack([ramp, ramp[::-1], 255 - ramp])
    assert (picture.format, picture.width, picture.height, picture.channels) == ("HEIC", 32, 48, 3)
    with picture.decoded(Path(os.devnull).parent) as samples:
        difference = samples().astype(int) - np.rot90(stored, -1)
    assert np.abs(difference).max() <= 3  # of the detour over YCbCr
    assert picture.metadata.exif.directory(0)[0x010F].data == b"Cam\0"


def test_heic_keeps_ten_bits(tmp_path: Path) -> None:
    picture = Picture(heic("ten-bits.heic"))
    assert (picture.dtype, picture.bits) == (np.dtype(np.uint16), 10)
    stored = np.add.outer(np.arange(32) * 32, np.arange(64)).repeat(3).reshape(32, 64, 3)
    with picture.decoded(tmp_path) as samples:
        assert np.abs(samples() / 65_535 - stored % 1024 / 1023).max() < 0.004


def test_a_cut_heic_is_refused(tmp_path: Path) -> None:
    data = heic("turned.heic").read_bytes()
    path = tmp_path / "a.heic"
    for length in (40, len(data) // 2, len(data) - 9):
        path.write_bytes(data[:length])
        with (
            pytest.raises(ImageError, match="damaged or not supported"),
            Picture(path).decoded(tmp_path),
        ):
            pass


@pytest.mark.parametrize("sides", [(30, 20), (9, 6)])
def test_thumbnails_and_masks_are_not_pages(tmp_path: Path, sides: tuple[int, int]) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        if sides == (9, 6):
            file.write(np.zeros((9, 6, 3), np.uint8), photometric="rgb", subfiletype=1)
        file.write(NOISE[..., :3], photometric="rgb")
        file.write(np.zeros((9, 6, 3), np.uint8), photometric="rgb", subfiletype=1)
    assert np.array_equal(whole(path) * 255, NOISE[..., :3])
    with tifffile.TiffWriter(path, append=True) as file:
        file.write(NOISE[..., :3], photometric="rgb")
    with pytest.raises(ImageError, match="pictures"):
        Picture(path)


def test_lab_of_16_bits_is_read_as_icc_defines_it(tmp_path: Path) -> None:
    """Its white is D50. Red of sRGB is (54.29, 80.81, 69.89) there, 50 % gray (53.39, 0, 0)."""
    lab = np.array([[[100, 0, 0], [54.29, 80.81, 69.89], [53.39, 0, 0], [0, 0, 0]]])
    stored = np.round(lab * (655.35, 256, 256)).astype(np.int32).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="cielab")
    expected = np.array([[[255] * 3, [255, 0, 0], [127] * 3, [0] * 3]]) / 255
    assert np.abs(whole(tmp_path / "a.tif") - expected).max() < 0.01
