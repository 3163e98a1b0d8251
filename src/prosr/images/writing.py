"""Write results: samples go to a file on disk, and the encoder follows from top to bottom.

Tiles arrive side by side, encoders need whole rows, and memory may not hold a whole result. So
samples go to an unnamed file beside the result. The file is an uncompressed TIFF, which libvips
reads strip by strip. libvips would map a file of raw samples into memory as a whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from prosr.files import replacing
from prosr.images.adapting import enlarged
from prosr.images.containers import attach, write_metadata
from prosr.images.encoding import Encoding, saver_options
from prosr.images.formats import Format
from prosr.images.loading import explaining, refusal
from prosr.images.metadata import Metadata
from prosr.images.samples import from_unit, to_unit
from prosr.images.tiff import sample_header

_STRIP = 1_000_000
"""Bytes of samples in a strip of the file on disk, at least a row."""

_LARGE, _NAMES = 4_000_000_000, 20
"""Bytes of samples from which a TIFF gets 64-bit offsets. Names of lost parts in a remark."""

TROUBLE = "cannot be written", "free disk space or name another output"


@dataclass(eq=False)
class Canvas:
    """A result under construction: `put` its tiles in a `with` block, then `save`.

    `size` is (height, width), `channels` 1 to 4 as in `Picture`, `dtype` the type that
    samples are rounded to; `format` must hold it. `made_by` is the provenance for
    EXIF's Software. `bits` is the depth of an AVIF with 16-bit samples, 10 or 12. `settings` are
    those of the encoder. Without `over`, a file that has appeared at the target is not replaced.
    `remarks` has a line about what is not inherited, if anything.

    A thread encodes the rows that are complete while later ones are still computed. Encoders that
    need the whole picture in memory begin in `save`. A block that ends without `save` leaves no
    file.

    Raises `ImageError` before any work if the format cannot hold the size or the alpha, the
    folder is read-only, or the disk is too full for the samples.
    """

    target: Path
    format: Format
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    metadata: Metadata
    made_by: str = ""
    bits: int | None = None
    settings: Encoding = ()
    over: bool = True

    def __post_init__(self) -> None:
        self.height, self.width = self.size
        self._bytes = self.height * self.width * self.channels * self.dtype.itemsize
        size = self.width, self.height
        self._inherited = enlarged(self.metadata, size, self.format.name, self.made_by)
        lost = sorted(self._inherited.lost)
        others = " and others" * (len(lost) > _NAMES)
        self.remarks = [f"without {', '.join(lost[:_NAMES])}{others}"] if lost else []
        self._check()
        self._options()

    def __enter__(self) -> Canvas:
        with explaining(self.target, *TROUBLE), ExitStack() as undoing:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            # The system removes an unnamed file however the process ends.
            file = tempfile.TemporaryFile(dir=self.target.parent, buffering=0)
            undoing.enter_context(file)
            # Undone in reverse order: stop the encoder, wait for its thread, close the file.
            thread = undoing.enter_context(ThreadPoolExecutor(1, "encoder"))
            header = sample_header(self.size, self.channels, self.dtype, _STRIP)
            self._rows = _Rows(file, header, self.height, self._bytes, bool(self.format.memory))
            undoing.callback(self._rows.close)
            source, load = self._rows.source, pyvips.Image.tiffload_source
            samples = load(source, access="sequential", fail_on="error")
            image, self._kept = attach(samples, self._inherited, self.format.name)
            undoing.callback(image.set_kill, True)
            self._encoding = thread.submit(self._encode, image)
            self._undoing = undoing.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._undoing.close()

    def put(self, top: int, left: int, block: NDArray[np.float32]) -> None:
        """Place [rows, columns, channels] values in [0, 1] (clipped) at (top, left).

        Put each pixel once. A row is encoded when it and all rows above are complete, so put
        blocks from top to bottom. Raises `ImageError` if writing or encoding fails.
        """
        samples = np.ascontiguousarray(from_unit(block, self.dtype), self.dtype.newbyteorder("<"))
        with explaining(self.target, *TROUBLE):
            self._rows.put(top, left, samples)
        if self._encoding.done():
            self._encoding.result()

    def save(self) -> None:
        """Finish encoding and replace the target, all or nothing. Raises `ImageError`."""
        self._rows.finish()
        self._encoding.result()

    def encode(self, samples: NDArray[Any]) -> int:
        """Bytes that samples, [H, W, channels] of any type, take in the format."""
        block = from_unit(to_unit(samples[..., : self.channels]), self.dtype)
        image = pyvips.Image.new_from_array(np.ascontiguousarray(block))
        with explaining(self.target, *TROUBLE):
            return len(getattr(image, f"{self.format.saver}_buffer")(**self._options()))

    def _encode(self, image: pyvips.Image) -> None:
        """Encode the rows as they become complete; the last one is complete in `save`."""
        with explaining(self.target, *TROUBLE), replacing(self.target, self.over) as temporary:
            save = getattr(image, self.format.saver)
            save(os.fsencode(temporary), keep=self._kept, **self._options())
            write_metadata(temporary, self._inherited, self.format.name)

    def _options(self) -> dict[str, Any]:
        options = saver_options(self.format, self.settings, self.target)
        if self.format.name == "TIFF":
            options["predictor"] = "float" if self.dtype.kind == "f" else "horizontal"
            options["bigtiff"] = self._bytes > _LARGE
        if self.format.name == "AVIF":
            options["bitdepth"] = 8 if self.dtype.itemsize == 1 else min(self.bits or 12, 12)
        return options

    def _check(self) -> None:
        """Check that the format can hold the result, and the disk the samples and the result."""
        if max(self.height, self.width) > self.format.side:
            most = f"{self.format.name} ({self.format.side:,} a side); use PNG or TIFF"
            raise refusal(self.target, f"{self.width}×{self.height} pixels are too many for {most}")
        if self.channels in (2, 4) and not self.format.alpha:
            instead = "use PNG, WebP, TIFF or AVIF"
            raise refusal(self.target, f"{self.format.name} cannot hold transparency; {instead}")
        folder = self.target.absolute()
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK):
            raise refusal(self.target, "its folder is read-only; name another output")
        need, disk = 2 * self._bytes, shutil.disk_usage(folder)
        # A folder without a size, such as /proc, is not on a disk; writing to it raises the error.
        if need > disk.free and disk.total:
            free = f"{disk.free / 1e6:,.1f} MB are free; write to another disk"
            raise refusal(
                self.target, f"needs {need / 1e6:,.1f} MB of disk until it is encoded, {free}"
            )


class _Rows:
    """A file of rows: one thread puts blocks, the encoder reads the complete rows.

    Reading `source` waits until the rows are complete; with `at_once` it waits for `finish`.
    After `close` the source ends early.
    """

    def __init__(
        self, file: IO[bytes], header: bytes, height: int, size: int, at_once: bool
    ) -> None:
        self._file, self._at_once = file, at_once
        self._start, self._row, self._size = len(header), size // height, len(header) + size
        self._missing = np.full(height, self._row)
        # The last row stays incomplete until `finish`, so that no encoder ends before `save`.
        self._missing[-1] += 1
        self._position, self._readable = 0, len(header)
        self._changed = threading.Condition()
        self.source = pyvips.SourceCustom()
        self.source.on_read(self._read)
        self.source.on_seek(self._seek)
        self._file.write(header)
        self._file.truncate(self._size)

    def put(self, top: int, left: int, samples: NDArray[Any]) -> None:
        """Write a block, [rows, columns, channels]; release complete rows to the encoder."""
        pixel = samples.shape[2] * samples.itemsize
        with self._changed:
            for row, line in enumerate(samples, top):
                self._file.seek(self._start + row * self._row + left * pixel)
                self._file.write(line.data)
            missing = self._missing[top : top + len(samples)]
            missing -= samples.shape[1] * pixel
            assert (missing >= 0).all(), "pixels were put twice"
            if not self._at_once:
                self._readable = self._start + int(np.argmax(self._missing > 0)) * self._row
                self._changed.notify_all()

    def finish(self) -> None:
        """Release all rows to the encoder; pixels that were never put are 0."""
        with self._changed:
            self._readable = self._size
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._file.close()
            self._changed.notify_all()

    def _read(self, count: int) -> bytes | None:
        with self._changed:
            while not self._file.closed and self._readable <= self._position < self._size:
                self._changed.wait()
            if self._file.closed:
                return None
            self._file.seek(self._position)
            data = self._file.read(min(count, self._readable - self._position))
            self._position += len(data)
            return data or None

    def _seek(self, offset: int, whence: int) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position
