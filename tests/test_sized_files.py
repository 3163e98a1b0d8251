"""Files of any size: names, provenance, copies, encoders, clips, the sheet, as users type them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from clips import frames, make
from prosr import cli
from prosr.errors import ConfigError, ImageError
from prosr.images.encoding import SETTINGS, is_lossless
from prosr.images.formats import FORMATS
from prosr.images.reading import read_rgb
from prosr.images.writing import Canvas
from prosr.inference.loading import load
from prosr.inference.resizing import fitted
from prosr.sizes import choose
from test_cli_upscale import Run, run

__all__ = ["run"]

RNG = np.random.default_rng(0)
BICUBIC = load("bicubic")


def picture(name: str, size: tuple[int, int] = (50, 40), **options: object) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(name, **options)  # type: ignore[arg-type]


def size_of(name: str) -> tuple[int, int]:
    with Image.open(name) as result:
        return result.size


@pytest.mark.parametrize(
    ("words", "name", "size"),
    [
        (["--scale", "3"], "a_x3.png", (150, 120)),
        (["-s", "1.5"], "a_x1.5.png", (75, 60)),
        (["--width", "120"], "a_width120.png", (120, 96)),
        (["--height", "60"], "a_height60.png", (75, 60)),
        (["--long-side", "99"], "a_long99.png", (99, 79)),
        (["--fit", "200x90"], "a_fit200x90.png", (113, 90)),
        (["--fill", "64x64", "--format", "jpeg"], "a_fill64x64.jpg", (64, 64)),
        (["--megapixels", "0.01"], "a_mp0.01.png", (111, 89)),
        (["--print", "2x1cm", "--dpi", "150"], "a_print2x1cm150.png", (74, 59)),
    ],
)
def test_each_option_gives_its_size_and_a_second_run_skips(
    run: Run, words: list[str], name: str, size: tuple[int, int]
) -> None:
    picture("a.png")
    code, out, err = run("a.png", *words)
    assert (code, err) == (0, "") and name in out
    assert size_of(name) == size
    assert f"skipped  {name} (done already)" in run("a.png", *words)[1]


def test_another_request_does_not_pass_for_this_one(run: Run) -> None:
    picture("a.jpg")
    run("a.jpg", "--scale", "3", "-o", "b.jpg")
    code, _, err = run("a.jpg", "--scale", "3", "--quality", "40", "-o", "b.jpg")
    assert code == 2 and "b.jpg exists, made by prosr bicubic x3" in err


def test_a_folder_is_named_after_the_request_and_its_results_are_no_sources(run: Run) -> None:
    picture("in/b/a.png")
    assert run("in", "--fit", "60x60")[0] == 0
    assert size_of("in_fit60x60/b/a.png") == (60, 48)
    run("in/b/a.png", "--scale", "1.5")
    assert run("in", "--dry-run")[1].count("planned") == 2  # the picture, and the count


def test_what_is_large_enough_is_reduced_or_copied_and_said_so(run: Run) -> None:
    picture("a.jpg")
    assert "reduced from 50×40 pixels" in run("a.jpg", "--width", "20")[1]
    assert "it has 50×40 pixels already" in run("a.jpg", "--width", "50")[1]
    assert Path("a_width50.jpg").read_bytes() == Path("a.jpg").read_bytes()
    assert "skipped" in run("a.jpg", "--width", "50")[1]
    assert "it has 50×40 pixels already" in run("a.jpg", "--fit", "9x9", "--keep-larger")[1]
    assert size_of("a_fit9x9.jpg") == (50, 40)


def test_a_copy_of_the_source_is_no_result_of_another_size(run: Run) -> None:
    picture("a.jpg")
    shutil.copy("a.jpg", "a_x2.jpg")
    assert "not known to be made by prosr" in run("a.jpg", "--scale", "2")[2]


def test_two_passes_are_said(run: Run) -> None:
    picture("a.png", (9, 8))
    prosr = ["--model", "prosr-xs"]
    assert "enlarged by 4 and then 4" in run("a.png", "--scale", "9", *prosr)[1]
    assert size_of("a_x9.png") == (81, 72)
    with pytest.warns(UserWarning, match="enlarged by 4 and then 4"):
        load("prosr-xs").upscale(np.zeros((8, 8, 3), np.uint8), 10)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--scale", "0"], "scale 0 is not a number from 1 to 16"),
        (["--scale", "nan"], "scale nan is not a number"),
        (["--scale", "1e9"], "scale 1e9 is not a number"),
        (["--fit", "0x0"], "fit 0 is not a whole number"),
        (["--width", "5", "--scale", "2"], "scale, width: give one of scale, long-side"),
        (["--dpi", "300"], "dpi: give one of scale, "),
        (["--width", "9000"], "50×40 to 9000×7200 pixels is 180 times; ask for at most 16 times"),
        (["--quality", "0"], "quality 0 of JPEG is not one of 1 to 100"),
        (["--quality", "high"], "quality high of JPEG is not one of 1 to 100"),
        (["--compression", "9"], "JPEG has no compression, only PNG, TIFF; choose another format"),
        (["--lossless"], "JPEG has no lossless, only PNG, WebP, TIFF, AVIF"),
        (["--lossless", "--quality", "9", "--format", "webp"], "lossless excludes quality"),
        (["--subsampling", "4:1:1"], "subsampling 4:1:1 of JPEG is not one of 4:4:4, 4:2:0"),
        (
            ["--quality", "80", "--format", "png"],
            "x4.png: PNG has no quality, only JPEG, WebP",
        ),
        (["--preview", "50,3"], "preview '50,3' is not X,Y within 50×40 pixels"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    run: Run, words: list[str], complaint: str
) -> None:
    picture("a.jpg")
    code, out, err = run("a.jpg", *words)
    assert (code, out) == (2, "")
    assert complaint in err and err.count("\n") == 1
    assert [path.name for path in Path.cwd().iterdir()] == ["a.jpg"]


def test_every_format_knows_its_settings(run: Run) -> None:
    picture("a.png")
    assert {known.name for known in FORMATS} == SETTINGS.keys()
    for name, settings in SETTINGS.items():
        for number, (setting, values) in enumerate(settings.items()):
            value = next(iter(values))
            words = [f"--{setting}", *([value] if value != "true" else [])]
            words += ["--format", name, "-o", f"{name}{number}/"]
            code, _, err = run("a.png", *words)
            assert (code, err) == (0, "")
            assert "done already" in run("a.png", *words)[1]


def test_quality_changes_the_size_of_a_jpeg_and_subsampling_its_colours(run: Run) -> None:
    picture("a.jpg")
    run("a.jpg", "--quality", "30", "-o", "low.jpg")
    run("a.jpg", "--subsampling", "4:2:0", "-o", "half.jpg")
    run("a.jpg", "-o", "usual.jpg")
    sizes = {name: Path(f"{name}.jpg").stat().st_size for name in ("low", "half", "usual")}
    assert sizes["low"] < sizes["half"] < sizes["usual"]


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\x08\0\0\0\0\0"])
def test_a_lossless_webp_stays_lossless_unless_asked(run: Run, exif: bytes) -> None:
    picture("a.webp", lossless=True, exif=exif)
    picture("b.webp", exif=exif)
    check_lossless(run, "webp", "WebP")


def test_a_lossless_avif_stays_lossless_unless_asked(run: Run) -> None:
    picture("a.png")
    run("a.png", "--scale", "1", "--lossless", "-o", "a.avif")
    picture("b.avif")
    check_lossless(run, "avif", "AVIF")


def check_lossless(run: Run, suffix: str, name: str) -> None:
    assert run(f"a.{suffix}", f"b.{suffix}", "--scale", "2")[0] == 0
    assert is_lossless(Path(f"a_x2.{suffix}"), name)
    assert not is_lossless(Path(f"b_x2.{suffix}"), name)
    expected = BICUBIC.upscale(read_rgb(Path(f"a.{suffix}")), 2)
    assert np.array_equal(read_rgb(Path(f"a_x2.{suffix}")), expected)
    run(f"a.{suffix}", "--scale", "3", "--quality", "80")
    assert not is_lossless(Path(f"a_x3.{suffix}"), name)


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.png", "a.tif"])
def test_lossless_means_the_exact_pixels(tmp_path: Path, name: str) -> None:
    array = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "source.png")
    wish = choose({"scale": 1.5, "lossless": True})
    BICUBIC.upscale(tmp_path / "source.png", wish, output=tmp_path / name)
    assert np.array_equal(read_rgb(tmp_path / name), BICUBIC.upscale(array, 1.5))


def test_the_resolution_grows_with_the_size(run: Run) -> None:
    picture("a.png", dpi=(72, 72))
    picture("b.png")
    run("a.png", "b.png", "--scale", "3")
    run("b.png", "--print", "2x1cm", "--dpi", "200")
    stated = {}
    for name in ("a_x3.png", "b_x3.png", "b_print2x1cm200.png"):
        with Image.open(name) as result:
            stated[name] = round(result.info.get("dpi", (0, 0))[0])
    assert stated == {"a_x3.png": 216, "b_x3.png": 0, "b_print2x1cm200.png": 200}


def test_a_pil_image_states_its_resolution_times_the_factor() -> None:
    image = Image.new("RGB", (20, 10))
    image.info["dpi"] = (100, 100)
    assert BICUBIC.upscale(image, 1.5).info["dpi"] == (150, 150)


def test_a_clip_gets_even_sides_and_says_so(tmp_path: Path, run: Run) -> None:
    make(tmp_path / "a.mp4", size=(64, 48), sound=False)
    code, out, _ = run("a.mp4", "--width", "99")
    assert code == 0 and "cut from 99×74 to 98×74 pixels: H.264 takes even sizes" in out
    (first, *_) = frames(tmp_path / "a_width99.mp4")
    assert (first.width, first.height) == (98, 74)
    assert "skipped" in run("a.mp4", "--width", "99")[1]


def test_a_turned_clip_has_the_width_that_people_see(tmp_path: Path, run: Run) -> None:
    make(tmp_path / "a.mp4", rotation=90, sound=False)
    run("a.mp4", "--width", "96")
    (first, *_) = frames(tmp_path / "a_width96.mp4")
    assert (first.width, first.height) == (128, 96)


def test_an_estimate_is_of_the_requested_size(run: Run) -> None:
    picture("a.png")
    code, out, _ = run("a.png", "--fit", "70x70", "--dry-run")
    assert code == 0 and "planned  a_fit70x70.png (70×56 pixels, 1 tile" in out
    assert not Path("a_fit70x70.png").exists()


def test_the_sheet_shows_the_place_three_times(run: Run) -> None:
    picture("a.png", (600, 400))
    code, out, _ = run("a.png", "--preview", "300,200", "--scale", "2")
    assert code == 0 and "a_x2_preview.png (left to right: input, bicubic, bicubic)" in out
    sheet = read_rgb(Path("a_x2_preview.png"))
    assert sheet.shape == (512, 3 * 512 + 16, 3)
    place = read_rgb(Path("a.png"))[72:328, 172:428]
    assert np.array_equal(sheet[:, :512], place.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(sheet[:, -512:], BICUBIC.upscale(place, 2))
    assert "replace it with --overwrite" in run("a.png", "--preview", "300,200", "-s", "2")[2]
    assert "name one picture" in run("a.png", "a_x2_preview.png", "--preview", "3,2")[2]


def test_a_sheet_that_appears_during_the_work_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture("a.png", (60, 40))
    save = Canvas.save

    def late(canvas: Canvas) -> None:
        canvas.target.write_text("another's")
        save(canvas)

    monkeypatch.setattr(Canvas, "save", late)
    code, _, error = run("a.png", "--preview", "30,20", "--scale", "2")
    assert code == 2 and "has appeared during the work" in error
    assert Path("a_x2_preview.png").read_text() == "another's"


def test_a_strong_reduction_reads_tile_by_tile(tmp_path: Path) -> None:
    """The whole is larger than a tile, and the result equals that of the whole."""
    array = RNG.integers(0, 256, (700, 900, 3), dtype=np.uint8)
    wish, counts = choose({"width": 60}), set()
    small = load("bicubic", max_memory=BICUBIC._engine.reserved + 30_000_000)
    result = small.upscale(array, wish, progress=lambda done, total: counts.add(total), note=str)
    assert counts.pop() > 4
    assert np.array_equal(result, BICUBIC.upscale(array, wish, note=str))


def test_a_route_that_memory_cannot_hold_is_refused() -> None:
    small = load("bicubic", max_memory=BICUBIC._engine.reserved + 2_000_000)
    with pytest.raises(ConfigError, match="too little memory for bicubic at scale 1"):
        small.upscale(np.zeros((3000, 3000), np.uint8), choose({"width": 3}))


def test_three_times_can_be_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    y, x = np.mgrid[:60, :61]
    waves = 120 + 60 * np.sin(x / 5) + 60 * np.cos(y / 4)
    (tmp_path / "Set").mkdir()
    Image.fromarray(waves.astype(np.uint8)).save(tmp_path / "Set" / "a.png")
    words = ["evaluate", "bicubic", "--set", str(tmp_path / "Set"), "--scale", "3"]
    monkeypatch.setattr(sys, "argv", ["prosr", *words, "--output", str(tmp_path / "r.json")])
    with pytest.raises(SystemExit):
        cli.main()
    capsys.readouterr()
    (row,) = json.loads((tmp_path / "r.json").read_text())
    assert row["scale"] == 3 and row["psnr"] > 35


@pytest.mark.parametrize("name", ["a.webp", "a.avif"])
def test_a_result_is_itself_a_whole_picture(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (8, 8), (9, 99, 200)).save(tmp_path / "source.png")
    made = BICUBIC.upscale(tmp_path / "source.png", 2, output=tmp_path / name)
    assert read_rgb(made).shape == (16, 16, 3)
    assert BICUBIC.upscale(made, 1.5).exists()


def test_a_copy_is_not_taken_for_a_result_of_another_quality(run: Run) -> None:
    picture("a.jpg")
    assert run("a.jpg", "--scale", "1")[0] == 0
    assert "done already" in run("a.jpg", "--scale", "1")[1]
    code, _, err = run("a.jpg", "--scale", "1", "--quality", "50")
    assert (code, "exists, not known to be made by prosr" in err) == (2, True)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_strip_leaves_out_metadata_but_colours_and_resolution(run: Run, suffix: str) -> None:
    exif, icc = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x010F], exif[0x0132] = "a camera", "2026:01:02 03:04:05"
    exif.get_ifd(0x8825)[1] = "N"
    secrets = {"exif": exif, "xmp": b"<rdf:RDF>someone</rdf:RDF>", "comment": "secret"}
    picture("a.jpg", (50, 40), **secrets, icc_profile=icc, dpi=(100, 100))
    assert run("a.jpg", "-s", "2", "--strip", "-o", f"b.{suffix}")[0] == 0
    assert "done already" in run("a.jpg", "-s", "2", "--strip", "-o", f"b.{suffix}")[1]
    with Image.open(f"b.{suffix}") as result:
        assert result.info["icc_profile"] == icc
        tags = result.getexif()
        assert tags[0x0131].startswith("prosr bicubic x2+strue ")
        assert not tags.keys() & {0x010F, 0x0132, 0x8825}
        assert suffix not in ("jpg", "png", "tif") or round(result.info["dpi"][0]) == 200
    data = Path(f"b.{suffix}").read_bytes()
    assert not [text for text in (b"someone", b"secret", b"a camera") if text in data]
    # The same without the option, so that these checks can fail.
    assert run("a.jpg", "-s", "2", "-o", f"c.{suffix}")[0] == 0
    with Image.open(f"c.{suffix}") as result:
        assert result.getexif()[0x010F] == "a camera"


def test_a_setting_is_refused_for_clips() -> None:
    wish = choose({"scale": 2, "quality": 90})
    with pytest.raises(ImageError, match=r"^a\.mp4: a clip has no quality; leave that out$"):
        fitted(Path("a.mp4"), wish, (48, 64), (2,), even=True)
