"""The two containers of `torch.save`, whole, damaged and hostile."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fake_release
from prosr.checkpoints import archives
from prosr.checkpoints.tensors import Refused, StoredTensor
from prosr.errors import CheckpointError

BOTH = pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])


def state() -> OrderedDict[str, Tensor]:
    """Return tensors laid out in every way that a state dict may have them."""
    base = torch.arange(24.0)
    return OrderedDict(
        plain=base.view(2, 3, 4) + 1,
        first=base[:5],
        inside=base[7:13].view(2, 3),  # shares its storage with the one above
        transposed=base.view(4, 6).t(),
        channels_last=torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        parameter=nn.Parameter(torch.rand(3)),
        scalar=torch.tensor(3.0),
        half=torch.rand(3).half(),
        bfloat=torch.rand(3).bfloat16(),
        double=torch.rand(3).double(),
        long=torch.tensor([1, -(1 << 40)]),
        mask=torch.tensor([True, False]),
    )


def saved(content: Any, zipped: bool, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return file.getvalue()


def tensors(data: bytes) -> dict[str, Tensor]:
    """Make every tensor that a file describes at its top or in its state_dict."""
    content = archives.unpack(data)
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    values = content.items() if isinstance(content, dict) else ()
    return {name: value.tensor() for name, value in values if isinstance(value, StoredTensor)}


def rezipped(data: bytes, compression: int = zipfile.ZIP_STORED, **changes: bytes | None) -> bytes:
    """Write a zip file again with members (`data_pkl` for data.pkl) replaced or left out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for info in old.infolist():
            member = changes.get(
                info.filename.partition("/")[2].replace(".", "_").replace("/", "_"), old.read(info)
            )
            if member is not None:
                new.writestr(info.filename, member)
    return file.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        archives.unpack(data)
    return str(refused.value)


@BOTH
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_tensor_comes_back_exactly(zipped: bool, protocol: int) -> None:
    expected = state()
    found = tensors(saved(expected, zipped, protocol))
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name
        assert found[name].is_contiguous(), name


def test_tensors_saved_on_a_gpu_are_read_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
    data = saved({"a": torch.arange(3.0)}, zipped=False)
    assert b"cuda:0" in data
    # PyTorch of 2018 named the class of the storage after the device, too.
    data = data.replace(b"ctorch\nFloatStorage", b"ctorch.cuda\nFloatStorage")
    assert tensors(data)["a"].tolist() == [0, 1, 2]


@BOTH
def test_options_keep_their_shape(zipped: bool, tmp_path: Path) -> None:
    options = {"level_config": [[8] * 9, [8] * 3, [8]], "res_factor": 0.2, "ps_woReLU": False}
    path = fake_release.save(tmp_path / "a.pth", state(), zipped=zipped, options=options)
    content = archives.unpack(path.read_bytes())
    assert isinstance(content, dict)
    assert content["params"] == {"G": options, "data": {"scale": [2, 4, 8]}}
    assert content["class_name"] == "ProSR"


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.witness}",)


@BOTH
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_payload_beside_the_tensors_is_refused_by_name(
    zipped: bool, protocol: int, tmp_path: Path
) -> None:
    content = {"state_dict": state(), "params": Payload(tmp_path / "ran")}
    data = saved(content, zipped, protocol)
    assert f"asks for {os.system.__module__}.system," in refusal(data)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("stage", range(5), ids=["magic", "version", "system", "content", "keys"])
def test_a_payload_in_any_pickle_of_a_stream_is_refused(stage: int, tmp_path: Path) -> None:
    stream = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, []]
    stream[stage] = Payload(tmp_path / "ran")
    assert "system" in refusal(b"".join(pickle.dumps(part, 2) for part in stream))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a file that torch.save wrote"),
        (b"<!DOCTYPE html><html>quota exceeded</html>", "not a file that torch.save wrote"),
        (b"\x80", "not a file that torch.save wrote"),
        (pickle.dumps({"state_dict": {}}, 2), "not one that torch.save wrote"),
        (b"PK\x03\x04" + bytes(100), "zip archive is damaged"),
        (bytes(range(256)), "not a file that torch.save wrote"),
    ],
)
def test_what_is_no_checkpoint_is_called_so(data: bytes, problem: str) -> None:
    assert problem in refusal(data)


def test_numbers_in_the_other_byte_order_are_refused() -> None:
    data = saved(state(), zipped=True)
    assert "big-endian" in refusal(rezipped(data, byteorder=b"big"))
    stream = saved(state(), zipped=False)
    field = stream.index(b"little_endian") + len(b"little_endian") + 2
    flipped = stream[:field] + stream[field:].replace(b"\x88", b"\x89", 1)
    assert "big-endian" in refusal(flipped)


def test_a_stream_s_storage_must_be_as_long_as_described() -> None:
    data = saved({"a": torch.zeros(3)}, zipped=False)
    assert data[-20:-12] == struct.pack("<q", 3)
    for numel in (-1, 0, 2, 4, 1 << 62):
        assert "as long as described" in refusal(data[:-20] + struct.pack("<q", numel) + data[-12:])
    assert "ends too early" in refusal(data[:-1])


def test_a_stream_that_lists_no_storages_leaves_its_tensors_without() -> None:
    data = saved({"a": torch.zeros(3)}, zipped=False)
    listed = data.rindex(b"\x80\x02]")
    with pytest.raises(Refused, match="is missing"):
        tensors(data[:listed] + b"\x80\x02].")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"data_0": b"12"}, "as long as described"),
        ({"data_0": None}, "lacks data/0"),
        ({"data_pkl": None}, "not one that torch.save wrote"),
        ({"data_pkl": b""}, "ends too early"),
    ],
)
def test_a_zip_file_with_wrong_members_is_refused(changes: dict[str, Any], problem: str) -> None:
    assert problem in refusal(rezipped(saved({"a": torch.zeros(3)}, zipped=True), **changes))


def test_a_zip_bomb_is_not_inflated() -> None:
    bomb = rezipped(
        saved({"a": torch.zeros(3)}, zipped=True), zipfile.ZIP_DEFLATED, data_0=bytes(10_000_000)
    )
    assert len(bomb) < 100_000
    assert "not one that torch.save wrote" in refusal(bomb)


def test_members_that_overlap_cannot_add_up_to_more_than_the_file() -> None:
    data = saved({str(i): torch.full((1000,), float(i)) for i in range(3)}, zipped=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        offsets = [archive.getinfo(f"archive/data/{i}").header_offset for i in range(3)]
    # Every entry of the directory but the first says that its bytes are the first one's.
    for offset in offsets[1:]:
        data = data.replace(struct.pack("<I", offset), struct.pack("<I", offsets[0]))
    assert "damaged" in refusal(data)


def test_a_directory_of_too_many_members_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    assert "not one that torch.save wrote" in refusal(saved(state(), zipped=True))


def test_a_torchscript_archive_is_refused_for_what_it_is() -> None:
    file = io.BytesIO(saved({"a": torch.zeros(3)}, zipped=True))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/constants.pkl", b"N.")
    assert "TorchScript" in refusal(file.getvalue())


SMALL = [
    saved({"state_dict": {"a": torch.arange(4.0), "b": torch.ones(2, 2).half()}, "n": [1, 0.5]}, z)
    for z in (False, True)
]


@settings(max_examples=300, deadline=1000)
@given(st.sampled_from(SMALL), st.randoms(use_true_random=False), st.integers(0, 8))
def test_damage_gives_tensors_or_a_refusal_and_nothing_else(
    data: bytes, chance: random.Random, edits: int
) -> None:
    damaged = bytearray(data)
    for _ in range(edits):
        # Three of four go where the pickle is; the rest of a small file is mostly padding.
        at = chance.randrange(len(damaged) if chance.random() < 0.25 else 600)
        length = chance.randrange(4)
        damaged[at : at + length] = chance.randbytes(chance.randrange(4))
    if edits % 2:
        del damaged[chance.randrange(len(damaged)) :]
    try:
        tensors(bytes(damaged))
    except Refused as refused:
        assert len(str(refused)) < 300
        assert "\n" not in str(refused)


@pytest.mark.parametrize("data", SMALL, ids=["stream", "zip"])
def test_a_file_cut_anywhere_is_refused(data: bytes) -> None:
    for length in range(0, len(data), 7):
        refusal(data[:length])


def test_only_a_regular_file_of_a_sane_size_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 100)
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "large.pth").write_bytes(bytes(101))
    for name, problem in (
        ("none.pth", "no such file"),
        ("pipe.pth", "no such file"),
        ("large.pth", "larger than"),
    ):
        with pytest.raises(CheckpointError, match=problem):
            archives.read_bytes(tmp_path / name)
