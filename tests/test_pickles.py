"""The pickle interpreter: what it understands, and that nothing in a pickle runs."""

from __future__ import annotations

import builtins
import importlib
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from fake_release import easydict
from prosr.checkpoints import pickles
from prosr.checkpoints.pickles import Interpreter
from prosr.checkpoints.tensors import Refused, StoredTensor

STORAGE = (
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x06\0\0\0cuda:0K\x08NtQ"  # 8 floats
)
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def load(data: bytes) -> Any:
    return Interpreter(memoryview(data)).load()


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        load(data)
    return str(refused.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_comes_back_as_python_wrote_it(protocol: int) -> None:
    shared = ["same"]
    data = {
        "numbers": [0, 1, -1, 255, 256, 70_000, -70_000, 1 << 40, 0.0039215, True, False, None],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "text": "é×" * 200,
        "many": {str(i): i for i in range(2000)},
        "shared": (shared, shared),
        "ordered": OrderedDict(a=1, b=2),
    }
    loaded = load(pickle.dumps(data, protocol))
    assert loaded == data
    assert loaded["shared"][0] is loaded["shared"][1]


@pytest.mark.parametrize("protocol", [2, 5])
def test_an_unknown_mapping_class_becomes_its_items(protocol: int) -> None:
    with easydict() as edict:
        data = pickle.dumps(edict({"G": edict({"level_config": [[8, 8], [8]]})}), protocol)
    loaded = load(data)
    assert loaded == {"G": {"level_config": [[8, 8], [8]]}}
    assert type(loaded) is pickles.Record


def test_an_ordered_dict_of_python_2_is_read_from_its_pairs() -> None:
    data = b"ccollections\nOrderedDict\n(](](U\x01aK\x01e](U\x01bK\x02eetR."
    assert load(data) == {"a": 1, "b": 2}


class Payload:
    """Writes a file when it is unpickled by something that executes pickles."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, f"{os.system.__module__}.system"), (eval, "eval"), (getattr, "getattr")],
)
def test_a_payload_is_refused_by_name_and_does_not_run(
    function: Any, name: str, protocol: int, tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    arguments = {
        "eval": (f"open({str(witness)!r}, 'w')",),
        "getattr": (witness, "touch"),
    }.get(name, (f"touch {witness}",))
    data = pickle.dumps(Payload(function, *arguments), protocol)
    assert f"asks for {name}" in refusal(data).replace("__builtin__.", "").replace("builtins.", "")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"(S'touch x'\nios\nsystem\n.", "os.system"),  # INST
        (b"(cposix\nsystem\nU\x07touch xo.", "posix.system"),  # OBJ
        (b"cposix\nsystem\n)\x81.", "posix.system"),  # NEWOBJ
        (b"cproject.tools\nrun\nU\x01x\x85R.", "project.tools.run"),  # a foreign function
        (b"cproject\nDict\nU\x01x\x85\x81.", "project.Dict"),  # a foreign constructor's work
        (b"ccollections\nOrderedDict\n)\x81.", "collections.OrderedDict"),
        (b"\x8c\x05torch\x8c\x17serialization.os.system\x93.", "torch.serialization.os.system"),
        (b"\x8c\x05torch\x8c\x04load\x93.", "torch.load"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"c__builtin__\nexec\n.", "__builtin__.exec"),
    ],
)
def test_every_way_to_call_something_is_refused_by_name(data: bytes, name: str) -> None:
    assert f"asks for {name}," in refusal(data)


def test_no_name_is_ever_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("imported")

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", fail)
        patch.setattr(builtins, "__import__", fail)
        loaded = load(b"cno_such_module\nThing\n)\x81}U\x01aK\x01sb.")
    assert loaded == {"a": 1}


def test_state_cannot_change_a_name_or_a_class() -> None:
    assert "makes no sense" in refusal(b"cproject\nDict\n}U\x03keyK\x01sb.")


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x83\x01\0", b"\x84\x01\0\0\0"])
def test_the_extension_registry_is_not_consulted(opcode: bytes) -> None:
    assert "torch.save never writes" in refusal(opcode + b".")


def test_a_name_in_a_message_is_one_short_line() -> None:
    name = "\n\x1b[31m" + "x" * 100_000
    text = name.encode()
    data = b"\x8c\x02osX" + struct.pack("<I", len(text)) + text + b"\x93."
    message = refusal(data)
    assert len(message) < 200
    assert message.isprintable()


@pytest.mark.parametrize(
    "data",
    [
        b"X\xff\xff\xff\xff",  # a text of 4 GB
        b"\x8d" + b"\xff" * 8,
        b"B\xff\xff\xff\xff",
        b"\x95" + b"\xff" * 8,
        b"Nr\xff\xff\xff\xff.",  # a memo of 4,000,000,000 entries
        b"\x8b\xff\xff\xff\x7f",  # a number of 2 GB
        b"\x96" + b"\xff" * 7 + b"\x7f",  # a bytearray
    ],
)
def test_a_length_that_lies_allocates_nothing(data: bytes) -> None:
    refusal(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"N", b".", b"R.", b"N\x81.", b"(.", b"t.", b"N(\x85.", b"Na.", b"](NNs.", b"h\0."],
)
def test_a_stack_that_does_not_add_up_is_damage(data: bytes) -> None:
    refusal(data)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPCODES", 10_000)
    assert "10,000 instructions" in refusal(b"N(" * 6000)


def test_a_list_cannot_be_unfolded_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPCODES", 10_000)
    pairs = b"](" + b"](U\x01aNe" * 500 + b"eq\x00"
    unfold = b"ccollections\nOrderedDict\nh\x00\x85R"
    assert "10,000 instructions" in refusal(pairs + unfold * 100 + b".")


def test_deep_nesting_neither_recurses_nor_hashes() -> None:
    load(b")" + b"\x85" * 200_000 + b".")
    assert "key that is not text" in refusal(b"})" + b"\x85" * 200_000 + b"Ns.")


def test_a_cycle_is_just_a_cycle() -> None:
    loaded = load(b"]q\x00h\x00a.")
    assert loaded[0] is loaded


def test_a_tensor_is_described_within_its_storage() -> None:
    tensor = load(REBUILD + b"(" + STORAGE + b"K\x02K\x02K\x03\x86K\x03K\x01\x86\x89}tR.")
    assert isinstance(tensor, StoredTensor)
    assert (tensor.offset, tensor.shape, tensor.stride) == (2, (2, 3), (3, 1))


def test_a_tensor_of_a_storage_s_part_counts_from_there() -> None:
    part = STORAGE.replace(b"NtQ", b"X\x01\0\0\x001K\x03K\x04\x87tQ")  # 4 of the 8, from the third
    tensor = load(b"ctorch._utils\n_rebuild_tensor\n(" + part + b"K\x01K\x03\x85K\x01\x85tR.")
    assert (tensor.offset, tensor.shape) == (4, (3,))
    beyond = b"ctorch._utils\n_rebuild_tensor\n(" + part + b"K\x02K\x03\x85K\x01\x85tR."
    assert "beyond its storage" in refusal(beyond)


@pytest.mark.parametrize(
    ("description", "problem"),
    [
        (b"K\x07K\x02\x85K\x01\x85", "beyond its storage"),
        (b"K\x00K\x03K\x03\x86K\x03K\x01\x86", "beyond its storage"),
        (b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85", "not stored densely"),  # stride 0: a bomb
        (b"K\x00K\x02\x85K\x02\x85", "not stored densely"),
        (b"J\xff\xff\xff\xffK\x02\x85K\x01\x85", "makes no sense"),
        (b"K\x00J\xff\xff\xff\xff\x85K\x01\x85", "makes no sense"),
        (b"K\x00K\x02\x85K\x01K\x01\x86", "makes no sense"),
        (b"K\x00K\x01\x85\x8a\x09\0\0\0\0\0\0\0\0\x01\x85", "makes no sense"),
        (b"K\x00(" + b"K\x01" * 9 + b"t(" + b"K\x01" * 9 + b"t", "makes no sense"),
    ],
)
def test_a_tensor_that_its_storage_cannot_hold_is_refused(description: bytes, problem: str) -> None:
    assert problem in refusal(REBUILD + b"(" + STORAGE + description + b"\x89}tR.")


def test_one_storage_cannot_be_described_in_two_ways() -> None:
    assert "in two ways" in refusal(STORAGE + STORAGE.replace(b"K\x08", b"K\x09") + b".")


def test_a_pickled_module_is_refused_for_what_it_is() -> None:
    assert "whole pickled module" in refusal(b"(U\x06moduleNNNtQ.")
