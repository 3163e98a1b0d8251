"""What becomes of fields that speak of the stored file or are in its pixels."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from prosr.images.exif import EXIF_IFD, INTEROP_IFD, Exif
from prosr.images.fields import GAIN_MAP, UNTRUE, VIDEO, Frame, enlarged_exif, enlarged_xmp
from prosr.images.reading import Picture, upright
from prosr.images.tiff import LONG, RATIONAL, SHORT, TagValue

NOISE = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
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
        ("<a GPano:CroppedAreaLeftPixels='5' GPano:CroppedAreaImageHeightPixels='7'/>", '<a GPano:CroppedAreaLeftPixels="10" GPano:CroppedAreaImageHeightPixels="14"/>'),
        ("<Ext:rbX>5</Ext:rbX><Ext:rbY>6</Ext:rbY><Ext:rbRx>4</Ext:rbRx><Ext:rbUnit>pixel</Ext:rbUnit>", "<Ext:rbX>10</Ext:rbX><Ext:rbY>12</Ext:rbY><Ext:rbRx>8</Ext:rbRx><Ext:rbUnit>pixel</Ext:rbUnit>"),
        ("<Ext:rbUnit>pixel</Ext:rbUnit><Ext:rbVertices><dc:li><Ext:rbX>5</Ext:rbX><Ext:rbY>6</Ext:rbY></dc:li></Ext:rbVertices>", "<Ext:rbUnit>pixel</Ext:rbUnit><Ext:rbVertices><dc:li><Ext:rbX>10</Ext:rbX><Ext:rbY>12</Ext:rbY></dc:li></Ext:rbVertices>"),
        ("<a stDim:w='60' stDim:h='40' stDim:unit='pixel'/>", '<a stDim:w="120" stDim:h="80" stDim:unit="pixel"/>'),
        ("<Ext:rbX>5</Ext:rbX><Ext:rbY>6</Ext:rbY><Ext:rbUnit>pixel</Ext:rbUnit>", "<Ext:rbX>10</Ext:rbX><Ext:rbY>12</Ext:rbY><Ext:rbUnit>pixel</Ext:rbUnit>"),
        ("<a exif:PixelXDimension='60' exif:PixelYDimension='40'/>", '<a exif:PixelXDimension="120" exif:PixelYDimension="80"/>'),
        ("<tiff:ImageWidth>60</tiff:ImageWidth><tiff:ImageLength>40</tiff:ImageLength>", "<tiff:ImageWidth>120</tiff:ImageWidth><tiff:ImageLength>80</tiff:ImageLength>"),
        ("<a stArea:x='0.2' stArea:y='0.3'  dc:x='&#233;'/>", "<a stArea:x='0.2' stArea:y='0.3'  dc:x='&#233;'/>"),
    ],
)  # fmt: skip
def test_pixels_in_xmp_are_scaled_and_the_rest_stays(before: str, after: str) -> None:
    assert changed(before) == after


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_xmp_in_utf_16_is_read(encoding: str) -> None:
    inside = "<a exif:PixelXDimension='60' exif:PixelYDimension='40' dc:x='é'/>"
    xmp, lost = enlarged_xmp(packet(inside).decode().encode(encoding), TWICE)
    assert 'PixelXDimension="120" exif:PixelYDimension="80" dc:x="é"' in xmp.decode()
    long = packet(f"<a xmlns:a='{'∢' * 999}'/>").decode().encode(encoding)
    assert (lost, enlarged_xmp(long, TWICE)) == (set(), (b"", {"XMP, which is damaged"}))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<a stArea:x='0.2' stArea:y='0.3' stArea:w='0.1' stArea:h='0.4'/>", ["0.7", "0.2", "0.4", "0.1"]),
        ("<a MPReg:Rectangle='0.1, 0.2, 0.3, 0.4'/>", ["0.4, 0.1, 0.4, 0.3"]),
        ("<a Ext:rbX='0.1' Ext:rbY='0.2' Ext:rbW='0.3' Ext:rbH='0.4' Ext:rbUnit='relative'/>", ["0.4", "0.1", "0.4", "0.3", "relative"]),
        ("<a Ext:rbX='0.1' Ext:rbY='0.2' Ext:rbRx='0.3' Ext:rbUnit='relative'/>", ["0.8", "0.1", "0.45", "relative"]),
        ("<a Ext:rbUnit='relative'><dc:b Ext:rbX='0.1' Ext:rbY='0.2'/></a>", ["relative", "0.8", "0.1"]),
        ("<a stDim:w='60' stDim:h='40' stDim:unit='pixel'/>", ["80", "120", "pixel"]),
        ("<a exif:PixelXDimension='60' exif:PixelYDimension='40'/>", ["80", "120"]),
    ],
)  # fmt: skip
def test_regions_are_turned(before: str, after: list[str]) -> None:
    """By orientation 6: a quarter turn clockwise."""
    assert re.findall('"(.*?)"', changed(before, Frame(6, (60, 40), (80, 120)))) == after


def test_each_region_has_its_own_unit() -> None:
    """One in pixels does not make pixels of those beside it."""
    relative = "<a stArea:x='0.25' stArea:y='0.5' stArea:unit='normalized'/>"
    assert changed(f"{relative}<a stArea:x='30' stArea:y='20' stArea:unit='pixel'/>").startswith(
        relative.replace("'", '"')
    )


@pytest.mark.parametrize(
    "inside",
    [
        "<a stArea:x='left' stArea:y='0.3'/>",
        "<a stArea:x='0.2'/>",
        "<a MPReg:Rectangle='0.1, 0.2, 0.3'/>",
        "<MPReg:Rectangle/>",
        "<a GPano:FullPanoWidthPixels='wide'/>",
        "<stArea:x><dc:b/></stArea:x>",
    ],
)
def test_what_is_not_what_its_name_says_is_dropped_alone(inside: str) -> None:
    xmp, lost = enlarged_xmp(
        packet(f"<dc:title>kept</dc:title>{inside}"), Frame(6, (60, 40), (80, 120))
    )
    assert lost and b"kept" in xmp
    assert not re.search(b"stArea:x[=>]|Rectangle|FullPano", xmp)


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_is_true_of_a_plain_picture_only_is_dropped_and_said(orientation: int) -> None:
    size = (120, 80) if orientation == 1 else (80, 120)
    inside = "<a GPano:PoseHeadingDegrees='1' crs:CropLeft='0.1' crs:HasCrop='True' dc:title='t'/>"
    xmp, lost = enlarged_xmp(packet(inside), Frame(orientation, (60, 40), size))
    assert (b"PoseHeading" in xmp, b"CropLeft" in xmp, len(lost)) == (
        (True, True, 0) if orientation == 1 else (False, False, 2)
    )


@pytest.mark.parametrize(
    "inside", ["<a/>" * 60_000, "<a " + " ".join(f"b{i}=''" for i in range(60_000)) + "/>"]
)
def test_xmp_of_very_many_parts_is_not_read(inside: str) -> None:
    """Each takes a kilobyte."""
    assert enlarged_xmp(packet(inside), TWICE) == (b"", {"XMP, which is too long"})


@pytest.mark.parametrize(
    ("inside", "lost"),
    [
        ("<a Camera:MotionPhoto='1' Camera:MicroVideoOffset='9'/>", {VIDEO}),
        ("<Camera:MotionPhotoVersion>1</Camera:MotionPhotoVersion>", {VIDEO}),
        ("<a hdrgm:Version='1'><hdrgm:GainMapMax>2</hdrgm:GainMapMax></a>", {GAIN_MAP}),
        ("<Container:Directory><rdf:Seq><rdf:li Item:Length='9'/></rdf:Seq></Container:Directory>", set()),
        ("<a tiff:Compression='1' exif:NativeDigest='x'/>", set()),
        ("<a tiff:XResolution='72/1' dc:format='image/jpeg'/>", set()),
        ("<exif:PixelXDimension>9</exif:PixelXDimension>", {UNTRUE}),
        ("<exif:SubjectArea><rdf:Seq><rdf:li>6</rdf:li></rdf:Seq></exif:SubjectArea>", {"copies of EXIF in XMP that are in pixels"}),
        ("<!DOCTYPE a>", {"XMP, which is damaged"}),
        ("<a", {"XMP, which is damaged"}),
    ],
)  # fmt: skip
def test_what_speaks_of_the_file_is_dropped_and_said(inside: str, lost: set[str]) -> None:
    xmp, said = enlarged_xmp(packet(inside), TWICE)
    assert said == lost
    assert not re.search(
        "Camera:M|Gain|Version=|Item:L|Compr|Digest=|format=|XRes|Area>|sion>", xmp.decode()
    )


@pytest.mark.parametrize("name", ["motion.jpg", "ultrahdr.jpg"])
def test_examples_of_phones_are_said_to_be_less(name: str) -> None:
    picture = Picture(Path(__file__).with_name("data") / name)
    expected = {"motion.jpg": VIDEO, "ultrahdr.jpg": GAIN_MAP}[name]
    xmp, lost = enlarged_xmp(picture.metadata.xmp, Frame(1, (64, 48), (128, 96)))
    assert expected in picture.metadata.lost | lost
    assert not re.search(b"Motion|MicroVideo|hdrgm:|Semantic", xmp)


FILM = b"\0\0\0\x18ftypmp42" + bytes(99)


@pytest.mark.parametrize(
    ("tail", "lost"),
    [
        (FILM, {VIDEO}),
        (b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + FILM + b"SEFT", {VIDEO}),
        (FILM + b"LIVE_123", {VIDEO}),
        (b"vivo{}", {"data after the picture"}),
        (b"\xff\xd8\xff\xe0", {"data after the picture"}),
        (bytes(99), set()),
    ],
)
def test_what_is_behind_a_jpeg_is_said(tmp_path: Path, tail: bytes, lost: set[str]) -> None:
    """Phones of many makers put the video there without a tag."""
    path = tmp_path / "a.jpg"
    Image.effect_noise((60, 40), 90).save(path, exif=Image.Exif())
    path.write_bytes(path.read_bytes() + tail)
    assert Picture(path).metadata.lost == lost


@pytest.mark.parametrize(
    ("segment", "lost"),
    [
        (b"\xe2urn:iso:std:iso:ts:21496:-1\0", GAIN_MAP),
        (b"\xe2MPF\0II*\0", "further pictures in the file"),
        (b"\xe1http://ns.adobe.com/xmp/extension/\0" + bytes(40), "extended XMP"),
        (b"\xebJP\0\1", "content credentials (C2PA)"),
        (b"\xedPhotoshop 3.0\x008BIM\x07\xd0\0\0\0\0\0\0", "Photoshop's paths"),
        (b"\xe3Meta\0", "the segment APP3 Meta"),
    ],
)
def test_segments_that_are_lost_are_said(tmp_path: Path, segment: bytes, lost: str) -> None:
    path = tmp_path / "a.jpg"
    Image.effect_noise((60, 40), 90).save(path)
    data, length = path.read_bytes(), (len(segment) + 1).to_bytes(2, "big")
    path.write_bytes(data[:2] + b"\xff" + segment[:1] + length + segment[1:] + data[2:])
    assert Picture(path).metadata.lost == {lost}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("a.gif", b"\x21\xff\x0bC2PA_GIF\1\0\0\0"),
        ("a.webp", b"C2PA\x10\0\0\0\0\0\0\x10jumb" + bytes(8)),
    ],
)
def test_credentials_that_are_lost_are_said(tmp_path: Path, name: str, part: bytes) -> None:
    path = tmp_path / name
    Image.effect_noise((60, 40), 90).save(path)
    assert Picture(path).metadata.lost == set()
    data = path.read_bytes()
    if name == "a.webp":
        data = data[:4] + (len(data) + len(part) - 8).to_bytes(4, "little") + data[8:] + part
    else:
        data = data[:-1] + part + data[-1:]
    path.write_bytes(data)
    assert Picture(path).metadata.lost == {"content credentials (C2PA)"}


def test_sizes_beside_exif_are_those_of_the_result() -> None:
    exif = Exif({0: {}, INTEROP_IFD: tag(0x1001, SHORT, 60) | tag(0x1002, SHORT, 40)})
    after, lost = enlarged_exif(exif, TWICE)
    numbers = [value.numbers() for value in after.directory(INTEROP_IFD).values()]
    assert (sorted(numbers), lost) == ([[80], [120]], set())


@pytest.mark.parametrize(
    ("number", "values", "frame"),
    [
        (33550, (1.0, 1.0, 0.0), Frame(6, (60, 40), (80, 120))),
        (33922, (1.0, 1.0, 0.0, 1.0, 1.0, 0.0), Frame(1, (60, 40), (80, 80))),
        (50844, (1.0,) * 92, TWICE),
    ],
)
def test_a_place_on_earth_that_would_be_false_is_dropped_and_said(
    number: int, values: tuple[float, ...], frame: Frame
) -> None:
    after, lost = enlarged_exif(Exif({0: tag(number, 12, *values)}), frame)
    assert (after.directory(0), lost) == ({}, {UNTRUE})


@pytest.mark.parametrize(
    ("number", "what"), [(37724, "Photoshop's layers"), (0xCD41, "content credentials (C2PA)")]
)
def test_parts_of_a_tiff_are_said(tmp_path: Path, number: int, what: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE, extratags=[(number, 7, 9, b"123456789", True)])
    exif = Picture(tmp_path / "a.tif").metadata.exif
    after, lost = enlarged_exif(exif, TWICE)
    assert lost == {what} and number not in after.directory(0)


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
    new = enlarged_exif(exif, TWICE)[0].directory(EXIF_IFD).get(number)
    assert (new.numbers() if new else None) == after


def test_resolutions_are_turned() -> None:
    exif = Exif(
        {0: tag(0x011A, RATIONAL, 300) | tag(0x011B, RATIONAL, 200) | tag(0x0112, SHORT, 6)}
    )
    main = enlarged_exif(exif, Frame(6, (60, 40), (80, 120)))[0].directory(0)
    assert {number: value.numbers() for number, value in main.items()} == {
        0x011A: [400],
        0x011B: [600],
        0x0112: [1],
    }


def test_sizes_in_a_microscopes_description_are_scaled() -> None:
    text = '<OME><Pixels SizeX="60" SizeY="40" SizeZ="1" PhysicalSizeX="0.5" PhysicalSizeY="0.25"/></OME>'
    exif = Exif({0: {0x010E: TagValue.of_text(text)}})
    new = enlarged_exif(exif, TWICE)[0].directory(0)[0x010E].data.decode()
    expected = 'SizeX="120" SizeY="80" SizeZ="1" PhysicalSizeX="0.25" PhysicalSizeY="0.125"'
    assert expected in new


def test_the_shape_that_tifffile_writes_is_that_of_the_result(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", NOISE)
    exif = Picture(tmp_path / "a.tif").metadata.exif
    text = enlarged_exif(exif, Frame(1, (9, 9), (27, 18)))[0].directory(0)[0x010E].data
    assert text == b'{"shape": [18, 27, 3]}\0'


def test_a_thumbnail_and_the_structure_of_a_tiff_are_of_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.tif", compression="tiff_lzw", software="x")
    kept = enlarged_exif(Picture(tmp_path / "a.tif").metadata.exif, TWICE)[0].directory(0)
    assert set(kept) == {0x0131}
