"""Photographs of real cameras, compared by an independent reader, ExifTool, before and after."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import prosr
from prosr.images.reading import Picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]

FILE = re.compile(
    r"(System|File|ExifTool|Composite|SourceFile|JFIF|IFD1|Photoshop|Adobe|Ducky|MPF|MPImage).*"
    r"|(PNG|RIFF|QuickTime|Meta|PNG-pHYs):.*"
    r"|(IFD0:(YCbCr.*|ReferenceBlackWhite|ImageWidth|ImageHeight|Software))"
    r"|(ExifIFD:(Compo.*Configuration|CompressedBitsPerPixel))|.*:(PreviewImage|Thumbnail).*"
    r"|.*:OriginalDecisionData.*"
)
"""Fields of the file."""

SCALED = re.compile(
    r"(IFD0|ExifIFD):([XY]Resolution|FocalPlane[XY]Resolution|SubjectArea|SubjectLocation)"
)
REWRITTEN = re.compile(
    r".*:(Exif|Related)?Image(Width|Height)|.*:Orientation|XMP-tiff:.*|XMP-exif:.*"
)
NAMED = re.compile(r"(FLIR|RMETA|FlashPix|GoPro|InfiRay|PhotoMechanic|FotoStation|IPTC2).*")
"""Data in segments of their own and after the picture, which the outcome names."""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def exiftool() -> str:
    try:
        if not shutil.which("exiftool"):
            run("apt-get", "install", "-y", "libimage-exiftool-perl")
        return run("exiftool", "-ver")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"ExifTool cannot be installed: {error}")


@pytest.fixture(scope="module")
def photographs(exiftool: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs in the source of ExifTool, one of most makers."""
    folder = tmp_path_factory.mktemp("source")
    text = "\n".join(path.read_text() for path in Path("/etc/apt").rglob("*debian.sources"))
    (folder / "a.sources").write_text(text.replace("Types: deb\n", "Types: deb-src\n"))
    (folder / "lists" / "partial").mkdir(parents=True)
    places = f"Dir::Etc::sourcelist={folder}/a.sources", "Dir::Etc::sourceparts=/dev/null"
    apt = [
        "apt-get",
        *(
            word
            for place in (*places, f"Dir::State::lists={folder}/lists")
            for word in ("-o", place)
        ),
    ]
    try:
        run(*apt, "update")
        subprocess.run(
            [*apt, "source", "--download-only", "libimage-exiftool-perl"], cwd=folder, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"apt has no sources: {error}")
    (archive,) = folder.glob("*.orig.tar.*")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (images,) = folder.glob("*/t/images")
    return images


def fields(path: Path) -> dict[str, Any]:
    """All fields but those of the file, by group and name."""
    text = run("exiftool", "-j", "-G1", "-a", "-n", "-struct", str(path))
    found = json.loads(text)[0]
    return {key: value for key, value in found.items() if not FILE.fullmatch(key)}


def numbers(value: Any) -> list[float]:
    return [float(part) for part in str(value).split()]


def compare(path: Path, target: Path) -> None:
    """Every field arrives: equal, or twice as large if it is in pixels."""
    before, after = fields(path), fields(target)
    for key, value in before.items():
        if REWRITTEN.fullmatch(key) or NAMED.fullmatch(key):
            continue
        assert key in after, f"{path.name}: {key} is lost"
        if SCALED.fullmatch(key):
            assert numbers(after[key]) == pytest.approx([2 * n for n in numbers(value)], rel=1e-6)
        else:
            assert after[key] == value, f"{path.name}: {key}"
    invented = {key for key in after.keys() - before.keys() if not key.startswith("XMP-png")}
    assert not invented, path.name


MAKERS = (
    "Apple Canon Canon1DmkIII Casio Casio2 FLIR FujiFilm GE GPS JVC JVC2 Kodak MWG Minolta Motorola"
)
MAKERS += (
    " Nikon NikonD2Hs NikonD70 Olympus Olympus2 OlympusE1 Panasonic Pentax PhotoMechanic Ricoh"
)
MAKERS += " Ricoh2 Sanyo Sigma Sony Unknown XMP IPTC FotoStation GoPro"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
@pytest.mark.parametrize("maker", MAKERS.split())
def test_all_fields_of_a_camera_arrive(
    photographs: Path, tmp_path: Path, maker: str, suffix: str
) -> None:
    path, target = photographs / f"{maker}.jpg", tmp_path / f"a.{suffix}"
    if suffix != "jpg" and Picture(path).metadata.iptc:
        pytest.skip("IPTC is for JPEG and TIFF only")
    prosr.load("bicubic").upscale(path, 2, output=target, note=lambda line: None)
    compare(path, target)


WRITTEN = """
    EXIF:Rating=3 EXIF:RatingPercent=50 EXIF:HostComputer=a EXIF:Artist=b EXIF:Copyright=c EXIF:XPTitle=t
    EXIF:XPKeywords=k EXIF:UserComment=u EXIF:OffsetTime=+01:00 EXIF:LensModel=l EXIF:ImageUniqueID=0123
    EXIF:SubSecTime=12 EXIF:GPSLatitude=1.5 EXIF:GPSLatitudeRef=N EXIF:DocumentName=d EXIF:PageName=p
    EXIF:InteropIndex=R03 EXIF:Gamma=2.2 EXIF:ISO=100 EXIF:ExposureCompensation=-1.3
    EXIF:XResolution=301.5 EXIF:YResolution=301.5 XMP:Title=x XMP:Subject=y XMP:Rating=2 XMP:PersonInImage=z
"""


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_fields_that_exiftool_writes_arrive(exiftool: str, tmp_path: Path, suffix: str) -> None:
    path, target = tmp_path / "source.jpg", tmp_path / f"a.{suffix}"
    Image.effect_noise((32, 24), 90).convert("RGB").save(path)
    subprocess.run(
        ["exiftool", "-q", "-m", "-n", *(f"-{word}" for word in WRITTEN.split()), str(path)],
        check=False,
        capture_output=True,
    )
    assert len(fields(path)) > 20
    prosr.load("bicubic").upscale(path, 2, output=target, note=lambda line: None)
    if suffix == "tif":
        structure = fields(target)
        assert not {
            key for key in fields(path) if key not in structure and not REWRITTEN.fullmatch(key)
        }
    else:
        compare(path, target)
