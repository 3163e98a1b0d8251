"""MATLAB files are read exactly; damaged ones are refused in one line."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from prosr.checkpoints import matconvnet
from prosr.checkpoints.torchfiles import Refused

NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BOTH = pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])


def saved(folder: Path, compressed: bool, **variables: Any) -> bytes:
    scipy.io.savemat(folder / "saved.mat", variables, do_compression=compressed)
    return (folder / "saved.mat").read_bytes()


def sample(folder: Path, compressed: bool) -> bytes:
    cell = np.empty((1, 2), dtype=object)
    cell[0, :] = ["abc", NUMBERS]
    fields = {"text": "größer", "number": 0.25, "inner": {"empty": np.empty((0, 0))}, "cell": cell}
    return saved(
        folder, compressed, numbers=NUMBERS, struct=fields, integers=np.array([[-3, 7]], np.int16)
    )


@BOTH
def test_values_are_read(compressed: bool, tmp_path: Path) -> None:
    values = matconvnet.read_variables(sample(tmp_path, compressed))
    np.testing.assert_array_equal(values["numbers"], NUMBERS)
    np.testing.assert_array_equal(values["integers"], [[-3, 7]])
    (fields,) = values["struct"]
    assert (fields["text"], fields["number"].item()) == ("größer", 0.25)
    assert fields["inner"][0]["empty"].size == 0
    assert fields["cell"][0] == "abc"
    np.testing.assert_array_equal(fields["cell"][1], NUMBERS)


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        matconvnet.read_variables(data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@BOTH
def test_a_cut_or_garbled_file_is_refused_or_read(compressed: bool, tmp_path: Path) -> None:
    data, random = sample(tmp_path, compressed), np.random.default_rng(0)
    for place in random.integers(128, len(data), 400):
        garbled = bytearray(data)
        garbled[place] ^= 1 << int(random.integers(8))
        for changed in (bytes(garbled), data[:place]):
            try:
                matconvnet.read_variables(changed)
            except Refused as refused:
                assert "\n" not in str(refused)


def test_unpacked_data_is_bounded(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(matconvnet.MAX_UNPACKED + 1))
    header = sample(tmp_path, compressed=False)[:128]
    data = header + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little") + bomb
    assert "unpacks to more than 64 MiB" in refusal(data)


def test_a_struct_with_more_elements_than_bytes_is_refused(tmp_path: Path) -> None:
    data = saved(tmp_path, False, s={"a": 1.0})
    dims = np.array([1, 1], np.int32).tobytes()
    assert data.count(dims) >= 1
    place = data.index(dims)
    huge = data[:place] + np.array([2**31 - 1] * 2, np.int32).tobytes() + data[place + 8 :]
    assert refusal(huge) == "it is damaged; get another copy"


def test_nesting_is_bounded(tmp_path: Path) -> None:
    element = struct.pack("<II", 14, 0)
    for _ in range(2000):
        cell = struct.pack("<4I4I2I", 6, 8, 1, 0, 5, 8, 1, 1, 1, 0) + element
        element = struct.pack("<II", 14, len(cell)) + cell
    header = sample(tmp_path, compressed=False)[:128]
    assert refusal(header + element) == "it is damaged; get another copy"


def test_another_header_is_refused() -> None:
    for data in (b"", b"MATLAB 5.0 MAT-file", b"MATLAB 5.0 MAT-file".ljust(126) + b"MI"):
        assert "header" in refusal(data)
