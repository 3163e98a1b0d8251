"""What becomes of fields that speak of the stored file or are in its pixels."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from prosr.images.exif import EXIF_IFD, Exif
from prosr.images.fields import GAIN_MAP, VIDEO, Frame, enlarged_exif, enlarged_xmp
from prosr.images.reading import Picture, upright
from prosr.images.tiff import LONG, RATIONAL, SHORT, TagValue

TWICE = Frame(1, (60, 40), (120, 80))
SPACES = {
    "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    "stDim": "http://ns.adobe.com/xap/1.0/sType/Dimensions#",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "Ext": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "Camera": "http://ns.google.com/photos/1.0/camera/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}


def packet(inside: str) -> bytes:
    spaces = " ".join(f'xmlns:{name}="{uri}"' for name, uri in SPACES.items())
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/' {spaces}>{inside}</x:xmpmeta>".encode()


def changed(inside: str, frame: Frame = TWICE) -> str:
    xmp, _ = enlarged_xmp(packet(inside), frame)
    return xmp.decode().partition(">")[2].removesuffix("</x:xmpmeta>")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_places_are_turned_as_pixels_are(orientation: int) -> None:
    stored = np.zeros((40, 60, 1))
    stored[7, 11] = 1
    (y,), (x,), _ = np.nonzero(upright(stored, orientation))
    size = (60, 40) if orientation < 5 else (40, 60)
    frame = Frame(orientation, (60, 40), size)
    middle = frame.place(Fraction(11 * 2 + 1, 120), Fraction(7 * 2 + 1, 80))
    assert middle == (Fraction(2 * int(x) + 1, 2 * size[0]), Fraction(2 * int(y) + 1, 2 * size[1]))


def test_places_are_cut_with_the_pixels() -> None:
    """60×40 fills 80×80 as the middle third of 120×80."""
    frame = Frame(1, (60, 40), (80, 80))
    assert [frame.scale, *frame.window] == [2, Fraction(2, 3), 1]
    assert frame.place(Fraction(1, 2), Fraction(1, 4)) == (Fraction(1, 2), Fraction(1, 4))
    assert frame.place(Fraction(1, 6), Fraction(0)) == (Fraction(0), Fraction(0))
    region = "<a stDim:w='60' stDim:h='40' stDim:unit='pixel' stArea:x='0.5' stArea:y='0.25' stArea:w='0.2' stArea:h='0.5'/>"
    after = re.findall('"(.*?)"', changed(region, frame))
    assert after == ["80", "80", "pixel", "0.5", "0.25", "0.3", "0.5"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<a GPano:FullPanoWidthPixels='60'/>", '<a GPano:FullPanoWidthPixels="120"/>'),
        ("<exif:PixelXDimension>9</exif:PixelXDimension>", "<exif:PixelXDimension>120</exif:PixelXDimension>"),
        ("<a tiff:XResolution='72/1'/>", '<a tiff:XResolution="144/1"/>'),
        (
            "<exif:SubjectArea><rdf:Seq><rdf:li>6</rdf:li><rdf:li>5</rdf:li></rdf:Seq></exif:SubjectArea>",
            "<exif:SubjectArea><rdf:Seq><rdf:li>12</rdf:li><rdf:li>10</rdf:li></rdf:Seq></exif:SubjectArea>",
        ),
        ("<a stDim:w='60' stDim:h='40' stDim:unit='pixel'/>", '<a stDim:w="120" stDim:h="80" stDim:unit="pixel"/>'),
        ("<Ext:rbX>5</Ext:rbX><Ext:rbY>6</Ext:rbY><Ext:rbUnit>pixel</Ext:rbUnit>", "<Ext:rbX>10</Ext:rbX><Ext:rbY>12</Ext:rbY><Ext:rbUnit>pixel</Ext:rbUnit>"),
        ("<a stArea:x='0.2' stArea:y='0.3'  dc:x='&#233;'/>", "<a stArea:x='0.2' stArea:y='0.3'  dc:x='&#233;'/>"),
    ],
)  # fmt: skip
def test_pixels_in_xmp_are_scaled_and_the_rest_stays(before: str, after: str) -> None:
    assert changed(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<a stArea:x='0.2' stArea:y='0.3' stArea:w='0.1' stArea:h='0.4'/>", ["0.7", "0.2", "0.4", "0.1"]),
        ("<a MPReg:Rectangle='0.1, 0.2, 0.3, 0.4'/>", ["0.4, 0.1, 0.4, 0.3"]),
        ("<a Ext:rbX='0.1' Ext:rbY='0.2' Ext:rbW='0.3' Ext:rbH='0.4' Ext:rbUnit='relative'/>", ["0.4", "0.1", "0.4", "0.3", "relative"]),
        ("<a crs:CropLeft='0.1' crs:CropTop='0.2' crs:CropRight='0.4' crs:CropBottom='0.6'/>", ["0.4", "0.1", "0.8", "0.4"]),
        ("<a stDim:w='60' stDim:h='40' stDim:unit='pixel'/>", ["80", "120", "pixel"]),
    ],
)  # fmt: skip
def test_regions_are_turned(before: str, after: list[str]) -> None:
    """By orientation 6: a quarter turn clockwise."""
    assert re.findall('"(.*?)"', changed(before, Frame(6, (60, 40), (80, 120)))) == after


@pytest.mark.parametrize(
    ("inside", "lost"),
    [
        ("<a Camera:MotionPhoto='1' Camera:MicroVideoOffset='9'/>", {VIDEO}),
        ("<Camera:MotionPhotoVersion>1</Camera:MotionPhotoVersion>", {VIDEO}),
        ("<a hdrgm:Version='1'><hdrgm:GainMapMax>2</hdrgm:GainMapMax></a>", {GAIN_MAP}),
        ("<Container:Directory><rdf:Seq><rdf:li Item:Length='9'/></rdf:Seq></Container:Directory>", set()),
        ("<a tiff:Compression='1' exif:NativeDigest='x'/>", set()),
        ("<!DOCTYPE a>", {"XMP, which is damaged"}),
        ("<a", {"XMP, which is damaged"}),
    ],
)  # fmt: skip
def test_what_speaks_of_the_file_is_dropped_and_said(inside: str, lost: set[str]) -> None:
    xmp, said = enlarged_xmp(packet(inside), TWICE)
    assert said == lost
    assert not re.search("Camera:M|Gain|Version=|Item:L|Compr|Digest=", xmp.decode())


@pytest.mark.parametrize("name", ["motion.jpg", "ultrahdr.jpg"])
def test_examples_of_phones_are_said_to_be_less(name: str) -> None:
    picture = Picture(Path(__file__).with_name("data") / name)
    expected = {"motion.jpg": VIDEO, "ultrahdr.jpg": GAIN_MAP}[name]
    xmp, lost = enlarged_xmp(picture.metadata.xmp, Frame(1, (64, 48), (128, 96)))
    assert expected in picture.metadata.lost | lost
    assert not re.search(b"Motion|MicroVideo|hdrgm:|Semantic", xmp)


def tag(number: int, kind: int, *values: Any) -> dict[int, TagValue]:
    return {number: TagValue.of(kind, *values)}


@pytest.mark.parametrize(
    ("number", "kind", "values", "after"),
    [
        (0x9214, SHORT, (6, 8), [12, 16]),
        (0x9214, SHORT, (6, 8, 5), [12, 16, 10]),
        (0x9214, SHORT, (6, 8, 5, 3), [12, 16, 10, 6]),
        (0xA214, SHORT, (6, 8), [12, 16]),
        (0xA002, SHORT, (60,), [120]),
        (0xA20E, RATIONAL, (Fraction(7, 3),), [Fraction(14, 3)]),
        (33550, 12, (3.0, 3.0, 0.0), [1.5, 1.5, 0.0]),
        (33922, 12, (2.0, 3.0, 0.0, 7.0, 8.0, 0.0), [4.0, 6.0, 0.0, 7.0, 8.0, 0.0]),
        (34264, 12, (2.0, 4.0, 0.0, 5.0, *[6.0] * 12), [1.0, 2.0, 0.0, 5.0, 3.0, 3.0, 6.0, 6.0, 3.0, 3.0, *[6.0] * 6]),
        (0x9214, LONG, (6,), None),
    ],
)  # fmt: skip
def test_pixels_in_exif_are_scaled(number: int, kind: int, values: Any, after: Any) -> None:
    exif = Exif({0: {}, EXIF_IFD: tag(number, kind, *values)})
    new = enlarged_exif(exif, TWICE).directory(EXIF_IFD).get(number)
    assert (new.numbers() if new else None) == after


def test_resolutions_are_turned() -> None:
    exif = Exif(
        {0: tag(0x011A, RATIONAL, 300) | tag(0x011B, RATIONAL, 200) | tag(0x0112, SHORT, 6)}
    )
    main = enlarged_exif(exif, Frame(6, (60, 40), (80, 120))).directory(0)
    assert {number: value.numbers() for number, value in main.items()} == {
        0x011A: [400],
        0x011B: [600],
        0x0112: [1],
    }


def test_sizes_in_a_microscopes_description_are_scaled() -> None:
    text = '<OME><Pixels SizeX="60" SizeY="40" SizeZ="1" PhysicalSizeX="0.5" PhysicalSizeY="0.25"/></OME>'
    exif = Exif({0: {0x010E: TagValue.of_text(text)}})
    new = enlarged_exif(exif, TWICE).directory(0)[0x010E].data.decode()
    expected = 'SizeX="120" SizeY="80" SizeZ="1" PhysicalSizeX="0.25" PhysicalSizeY="0.125"'
    assert expected in new


def test_a_thumbnail_and_the_structure_of_a_tiff_are_of_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.tif", compression="tiff_lzw", software="x")
    kept = enlarged_exif(Picture(tmp_path / "a.tif").metadata.exif, TWICE).directory(0)
    assert set(kept) == {0x0131}
