"""Files of `torch.save`: read exactly, or refused without running or allocating anything."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import fake_release
from prosr.checkpoints import torchfiles
from prosr.checkpoints.torchfiles import Refused
from prosr.errors import CheckpointError

DAMAGED = "is damaged, or torch.save did not write it"
BOTH = pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])


def state() -> OrderedDict[str, Tensor]:
    """Tensors in every layout that a state dict may have."""
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


ZERO = {zipped: saved({"a": torch.zeros(3)}, zipped) for zipped in (False, True)}
PICKLE = zipfile.ZipFile(io.BytesIO(ZERO[True])).read("archive/data.pkl")


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


def pickled(old: bytes, new: bytes) -> bytes:
    """A zip file of three zeros with a part of its pickle replaced."""
    assert old in PICKLE
    return rezipped(ZERO[True], data_pkl=PICKLE.replace(old, new))


Load = Callable[[bytes], Any]
Refusal = Callable[[bytes], str]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def read(data: bytes) -> Any:
        (tmp_path / "a.pth").write_bytes(data)
        return torchfiles.load(tmp_path / "a.pth")

    return read


@pytest.fixture
def refusal(load: Load) -> Refusal:
    def read(data: bytes) -> str:
        with pytest.raises(Refused) as refused:
            load(data)
        message = str(refused.value)
        assert message.isprintable() and len(message) < 200
        assert "weights_only" not in message
        return message

    return read


@BOTH
def test_every_tensor_comes_back_exactly(zipped: bool, load: Load) -> None:
    expected = state()
    found = load(saved(expected, zipped))
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def test_tensors_saved_on_a_gpu_are_read_without_one(load: Load) -> None:
    data = ZERO[False].replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")
    # In 2018 PyTorch named the class of the storage after the device, too.
    data = data.replace(b"ctorch\nFloatStorage", b"ctorch.cuda\nFloatStorage")
    assert b"cuda:0" in data and b"torch.cuda" in data
    assert load(data)["a"].tolist() == [0, 0, 0]


@BOTH
def test_options_keep_their_shape(zipped: bool, tmp_path: Path) -> None:
    options = {"level_config": [[8] * 9, [8] * 3, [8]], "res_factor": 0.2, "ps_woReLU": False}
    path = fake_release.save(tmp_path / "a.pth", state(), zipped=zipped, options=options)
    content = torchfiles.load(path)
    assert isinstance(content, dict)
    assert content["params"] == {"G": options, "data": {"scale": [2, 4, 8]}}
    assert content["class_name"] == "ProSR"


def test_an_ordered_dict_of_python_2_is_read_from_its_pairs(load: Load) -> None:
    pairs = b"\x80\x02ccollections\nOrderedDict\n]](X\1\0\0\0aK\1ea\x85R."
    assert load(rezipped(ZERO[True], data_pkl=pairs)) == {"a": 1}


class Payload:
    """Calls a function when something that executes pickles reads it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@BOTH
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_payload_is_refused_and_does_not_run(
    zipped: bool, protocol: int, tmp_path: Path, refusal: Refusal
) -> None:
    content = {"state_dict": state(), "params": Payload(os.system, f"touch {tmp_path / 'ran'}")}
    message = refusal(saved(content, zipped, protocol))
    # torch.load does not know protocol 4 at all.
    name = f"asks for {os.system.__module__}.system,"
    assert (name if protocol == 2 else "with its default protocol") in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("stage", range(5), ids=["magic", "version", "system", "content", "keys"])
def test_a_payload_in_any_pickle_of_a_stream_is_refused(
    stage: int, tmp_path: Path, refusal: Refusal
) -> None:
    stream = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, []]
    stream[stage] = Payload(os.system, f"touch {tmp_path / 'ran'}")
    refusal(b"".join(pickle.dumps(part, 2) for part in stream))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("builtins\neval", "os\nsystem", "project\nDict", "torch\nload", "numpy\nload"),
        # torch.load allows these; each takes as much memory as its argument says.
        *("builtins\nbytearray", "torch\nFloatTensor", "torch.storage\nUntypedStorage"),
    ],
)
def test_every_other_name_is_refused_by_name(name: str, refusal: Refusal) -> None:
    call = b"\x80\x02c" + name.encode() + b"\nJ\xff\xff\xff\x7f\x85R."
    assert f"asks for {name.replace(chr(10), '.')}," in refusal(rezipped(ZERO[True], data_pkl=call))


def test_a_name_in_a_message_is_one_short_line(refusal: Refusal) -> None:
    name = b"\x1b[31m" + b"x" * 100_000
    assert "asks for os." in refusal(rezipped(ZERO[True], data_pkl=b"cos\n" + name + b"\n."))


def test_a_whole_module_is_refused(refusal: Refusal) -> None:
    assert "asks for torch.nn.modules.linear.Linear," in refusal(saved(nn.Linear(1, 1), True))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), DAMAGED),
        (
            b"<!DOCTYPE html><html>quota exceeded</html>",
            DAMAGED,
        ),
        (pickle.dumps({"state_dict": {}}, 2), DAMAGED),
        (b"PK\x03\x04" + bytes(100), DAMAGED),
        (rezipped(ZERO[True], data_0=b"12"), DAMAGED),
        (rezipped(ZERO[True], data_0=None), DAMAGED),
        (rezipped(ZERO[True], data_pkl=None), DAMAGED),
        (rezipped(ZERO[True], data_pkl=b""), DAMAGED),
    ],
)
def test_other_and_damaged_files_are_refused(data: bytes, problem: str, refusal: Refusal) -> None:
    assert problem in refusal(data)


@pytest.mark.parametrize("elements", [-1, 0, 2, 4, 1 << 62])
def test_a_storage_in_a_stream_has_its_declared_length(elements: int, refusal: Refusal) -> None:
    data = ZERO[False]
    assert data[-20:-12] == struct.pack("<q", 3)
    assert DAMAGED in refusal(data[:-20] + struct.pack("<q", elements) + data[-12:])


@pytest.mark.parametrize("elements", [1 << 20, (1 << 31) - 1])
def test_a_stream_without_its_storages_is_refused(elements: int, refusal: Refusal) -> None:
    data = ZERO[False]
    length = b"K\x03Ntq"  # of the storage, then what ends its description
    assert data.count(length) == 1
    data = data.replace(length, b"J" + struct.pack("<i", elements) + length[2:])
    listed = data.rindex(b"\x80\x02]")
    message = refusal(data[:listed] + b"\x80\x02].")
    # The system may refuse to reserve the largest.
    assert "more bytes than the file holds" in message or DAMAGED in message


def test_a_storage_cannot_be_longer_than_its_member(refusal: Refusal) -> None:
    assert DAMAGED in refusal(pickled(b"K\x03tq\x07Q", b"J\xff\xff\xff\x7ftq\x07Q"))


def test_a_tensor_cannot_reach_beyond_its_storage(refusal: Refusal) -> None:
    shape = b"K\x03\x85q\x08K\x01\x85"
    assert DAMAGED in refusal(pickled(shape, shape.replace(b"\x03", b"\x04")))


def test_a_tensor_cannot_repeat_numbers_without_bound(refusal: Refusal) -> None:
    shape, stride_0 = b"K\x03\x85q\x08K\x01\x85", b"J\xff\xff\xff\x7f\x85q\x08K\x00\x85"
    assert "more elements than the file holds" in refusal(pickled(shape, stride_0))


@pytest.mark.parametrize("member", ["data_0", "data_pkl"])
def test_a_zip_bomb_is_not_inflated(member: str, refusal: Refusal) -> None:
    bomb = rezipped(ZERO[True], zipfile.ZIP_DEFLATED, **{member: bytes(10_000_000)})
    assert len(bomb) < 100_000
    assert "larger than the file" in refusal(bomb)


def test_members_that_overlap_cannot_add_up_to_more_than_the_file(refusal: Refusal) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", PICKLE)
        archive.writestr("a/data/0", bytes(100_000))
        archive.filelist.extend(copy(archive.getinfo("a/data/0")) for _ in range(3))
    assert len(file.getvalue()) < 110_000
    assert "larger than the file" in refusal(file.getvalue())


def test_a_zip_file_with_too_many_members_is_refused(
    monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setattr(torchfiles, "MAX_MEMBERS", 3)
    assert "more than 3 members" in refusal(ZERO[True])


@BOTH
def test_a_pickle_with_too_many_instructions_is_refused(
    zipped: bool, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setattr(torchfiles, "MAX_INSTRUCTIONS", 10)
    assert "more than 10 instructions" in refusal(ZERO[zipped])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_file_is_one_line_without_warnings(
    capfd: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.ReLU()), file)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert "is a TorchScript file" in refusal(file.getvalue())
    assert not warned
    assert capfd.readouterr() == ("", "")


SMALL = [
    saved({"state_dict": {"a": torch.arange(4.0), "b": torch.ones(2, 2).half()}, "n": [1, 0.5]}, z)
    for z in (False, True)
]


@settings(max_examples=300, deadline=1000)
@given(st.sampled_from(SMALL), st.randoms(use_true_random=False), st.integers(0, 8))
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, chance: random.Random, edits: int
) -> None:
    damaged = bytearray(data)
    for _ in range(edits):
        # Three of four go where the pickle is; the rest of a small file is mostly padding.
        at = chance.randrange(len(damaged) if chance.random() < 0.25 else 600)
        length = chance.randrange(4)
        damaged[at : at + length] = chance.randbytes(chance.randrange(4))
    if edits % 2:
        del damaged[chance.randrange(len(damaged)) :]
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    path.write_bytes(damaged)
    try:
        torchfiles.load(path)
    except Refused as refused:
        assert len(str(refused)) < 300
        assert "\n" not in str(refused)


@pytest.mark.parametrize("data", SMALL, ids=["stream", "zip"])
def test_a_file_cut_anywhere_is_refused(data: bytes, refusal: Refusal) -> None:
    for length in range(0, len(data), 7):
        refusal(data[:length])


def test_only_a_regular_file_below_the_limit_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchfiles, "MAX_BYTES", 100)
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "large.pth").write_bytes(bytes(101))
    for name, problem in (
        ("none.pth", "no such file"),
        ("pipe.pth", "no such file"),
        ("large.pth", "larger than"),
    ):
        with pytest.raises(CheckpointError, match=problem):
            torchfiles.load(tmp_path / name, 100)
