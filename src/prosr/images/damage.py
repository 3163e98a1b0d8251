"""Decodes pictures and finds damage that decoders only warn of, or do not notice at all."""

from __future__ import annotations

import logging
import mmap
import os
import re
import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pyvips

from prosr.errors import ImageError, printable
from prosr.images.encoding import webp_pixels
from prosr.images.loading import explaining, open_file, open_image, refusal

_BATCH = 1_000_000
"""Bytes decoded at a time, at least a row. libvips buffers several times as much."""

_STEP = 16
"""Bytes that a JPEG's decoder gets at a time near the end of its scan."""

_ZEROS = 5_000
"""Pixels for each zero byte at the end of a good WebP, at least; plain ones have 10,000."""

_WRONG = re.compile(r"Corrupt JPEG data: (?!bad ICC)|Premature|Not enough|Read past|Invalid frame")
_HARMLESS = re.compile(r"Corrupt JPEG data: (\d{1,2} extr|.* before marker 0x(d[bd-f]|[ef]))")
_HEAD = re.compile(r"Corrupt JPEG data: .* before marker 0x(c4|da)")
_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


def decode(path: Path, put: Callable[[bytes], object], tries: int = 5) -> list[str]:
    """Decode a picture from top to bottom and `put` its samples as stored, some rows at a time.

    Returns a line for each warning of the decoder that need not concern the pixels. Raises
    `ImageError` if the file is incomplete or damaged, which may be noticed after the last row.
    """
    with explaining(path):
        file = open_file(path)
    with file, _Warnings() as warnings:
        image, file_format = open_image(path)
        pixels = image.width * image.height
        scan = None
        if file_format == "JPEG" and not image.get("jpeg-multiscan"):
            scan = _Scan(file)
            image, _ = open_image(path, scan.source)
        if file_format == "TIFF" and image.get_typeof("tile-width"):
            _check_tiles(path, warnings.lines)
        _put_rows(image, path, put)
        # This closes the decoder, which then logs its warnings.
        del image
        lost, remarks = scan.left_over() if scan else _zeros_at_end(file, file_format, pixels)
    # Another thread may have cleared the text of a warning before libvips has logged it.
    if tries and warnings.lines and all(line.startswith("read gave") for line in warnings.lines):
        return decode(path, lambda data: None, tries - 1)
    for line in warnings.lines:
        if _WRONG.match(line) and not (_HARMLESS.match(line) or (scan and _HEAD.match(line))):
            lost = lost or line
        elif not line.startswith(("read gave", "error in tile")):
            remarks.append(f"its decoder says: {line}")
    if lost:
        remedy = "get a complete copy, or save what another program shows of it"
        raise refusal(path, f"is incomplete or damaged ({lost}); {remedy}")
    return remarks


def _check_tiles(path: Path, warnings: list[str]) -> None:
    """Raise `ImageError` for a tile that cannot be decoded; libvips makes it black otherwise.

    It raises errors of tiles only if it makes errors of warnings, too. So they are not found in a
    file that has harmless warnings.
    """
    image, _ = open_image(path, fail_on="warning")
    try:
        _put_rows(image, path, lambda data: None)
    except ImageError:
        if all(line.startswith("error in tile") for line in warnings):
            raise


def _put_rows(image: pyvips.Image, path: Path, put: Callable[[bytes], object]) -> None:
    region = pyvips.Region.new(image)
    with explaining(path):
        data = region.fetch(0, 0, image.width, 1)
    rows = max(1, _BATCH // len(data))
    for top in range(0, image.height, rows):
        with explaining(path):
            data = region.fetch(0, top, image.width, min(rows, image.height - top))
        put(data)


class _Warnings(logging.Handler):
    """Collects the `lines` of warnings that libvips logs in this thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> _Warnings:
        pyvips.logger.setLevel(logging.WARNING)
        pyvips.logger.addHandler(self)
        return self

    def __exit__(self, *raised: object) -> None:
        pyvips.logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        for line in record.getMessage().splitlines():
            text = printable(line.removeprefix("VIPS: ").removeprefix("VipsJpeg: ").strip())
            if text and text not in self.lines:
                self.lines.append(text)


class _Scan:
    """Feeds the only scan of a JPEG to its decoder, and measures how much the decoder needs.

    A decoder stops when it has all pixels. In a file whose rest is zeros, as in an unfinished
    download, a few of the zeros are enough for the rest of the pixels.
    """

    def __init__(self, file: FileIO) -> None:
        self._file, self._position, self._read = file.fileno(), 0, 0
        self._size = os.fstat(self._file).st_size
        self._start, self._end = self._limits()
        size = self._end - self._start
        # Encoders may add some bytes.
        self._tail = min(max(512, size // 100), size // 4)
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._next)
        self.source.on_seek(self._seek)

    def left_over(self) -> tuple[str, list[str]]:
        """What is wrong if much of the scan was not needed, or a remark if a little was not."""
        left, size = self._end - self._read, self._end - self._start
        if left < 2 * _STEP:
            return "", []
        what = f"{left} of {size} bytes of its pixels were not needed"
        return (what, []) if left > self._tail else ("", [f"{what}: it may be damaged"])

    def _limits(self) -> tuple[int, int]:
        """The first byte of the scan and the one after its last."""
        with mmap.mmap(self._file, 0, access=mmap.ACCESS_READ) as data:
            place = 2
            while place + 4 <= len(data) and data[place + 1] != 0xDA:
                skipped = 1 if data[place + 1] == 0xFF else 2
                length = int.from_bytes(data[place + 2 : place + 4], "big")
                # Between segments there may be any bytes.
                following = data.find(b"\xff", place + (length + 2 if skipped == 2 else 1))
                place = following if following > 0 else len(data)
            found = _END.search(data, place + 4)
            end = found.start() if found else len(data)
            # Any number of FF bytes may precede a marker.
            while place < end and data[end - 1] == 0xFF:
                end -= 1
            return place, end

    def _next(self, count: int) -> bytes:
        near = self._end - self._tail - _STEP
        if self._position < near:
            count = min(count, near - self._position)
        elif self._position < self._end:
            count = min(count, _STEP)
        data = os.pread(self._file, count, self._position)
        self._position += len(data)
        self._read = max(self._read, self._position)
        return data

    def _seek(self, offset: int, whence: int) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position


def _zeros_at_end(file: FileIO, file_format: str, pixels: int) -> tuple[str, list[str]]:
    """What is wrong, or a remark, if a file without checksums ends in zeros.

    Decoders of WebP, GIF and HEIC take zeros for pixels. In a TIFF they may be black ones.
    """
    size = os.fstat(file.fileno()).st_size
    # Metadata after the pixels may end in zeros.
    end = min(size, webp_pixels(file)[1]) if file_format == "WebP" else size
    zeros, last = 0, b""
    while not last and zeros < end:
        start = max(0, end - zeros - 65_536)
        file.seek(start)
        block = file.read(end - zeros - start)
        last = block.rstrip(b"\0")
        zeros += len(block) - len(last)
    if zeros <= 64 + pixels / _ZEROS or file_format == "PNG" or last.endswith(b";"):
        return "", []
    what = f"its last {zeros} of {size} bytes are zeros"
    if file_format != "TIFF":
        return what, []
    black = f"{what}: if its end is not black, get a complete copy"
    return "", [black] if 10 * zeros > size else []
