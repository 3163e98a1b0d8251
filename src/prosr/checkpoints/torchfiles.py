"""Reads files of weights, PyTorch's checkpoints and safetensors, and executes nothing in them.

`torch.load(weights_only=True)` refuses code, but a small file can still make it allocate any amount
of memory: with a compressed member, a `bytearray` of a given length, or a storage that is not in
the file. This module refuses these first.
"""

from __future__ import annotations

import io
import mmap
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import load_file
from torch import Tensor

from prosr.errors import CheckpointError, printable

# The largest released file has 62 MB, 500 members and 20,000 pickle instructions. A zip
# directory takes ten times its size in memory, so the number of members is limited too.
MAX_BYTES = 256 << 20
MAX_MEMBERS = 10_000
MAX_INSTRUCTIONS = 1_000_000

_STREAM_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_STREAM_PICKLES = 5
_NAMES = re.compile(
    r"collections (OrderedDict|Counter)|easydict EasyDict|_codecs encode"
    r"|(__builtin__|builtins) (set|complex)|torch\.nn\.parameter Parameter"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter|parameter_with_state)"
    r"|torch(\.cuda)? [A-Z][A-Za-z0-9]*Storage|torch (Size|device|bool|b?float\d+|u?int\d+)"
)
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_DAMAGED = "it is damaged, or torch.save did not write it with its default protocol"


class Refused(CheckpointError):
    """The reason why a file was refused: a clause that the caller prefixes with the file's name."""


class Unknown(Refused):
    """The reason why a file is none of the networks that this package knows by themselves."""


def head(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the first 19 bytes of a regular file of at most `limit` bytes.

    Raises `CheckpointError` for one that is missing, too large or not readable.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; check its name")
        if path.stat().st_size > limit:
            raise CheckpointError(f"{path}: larger than the {limit >> 20} MiB that are read")
        with open(path, "rb") as file:
            return file.read(19)
    except OSError as error:
        reason = f"({error.strerror}); check its permissions"
        raise CheckpointError(f"{path}: cannot be read {reason}") from error


def load(path: Path, limit: int = MAX_BYTES) -> object:
    """Return the object that was saved to a file of at most `limit` bytes, on the CPU.

    Reads safetensors, and of `torch.save` zip files (PyTorch 1.6 and later) and the older streams.
    An `EasyDict` is returned as an `OrderedDict`. Raises `Refused` for a file that is damaged,
    names anything but tensors and containers, or holds less than its tensors need, and
    `CheckpointError` as `head` does.
    """
    start = head(path, limit)
    if start[8:9] == b"{":
        try:
            return load_file(path)
        # Types that this PyTorch lacks raise KeyError, for example.
        except Exception as error:
            reason = printable(str(error)[:120])
            raise Refused(f"it is not a readable safetensors file ({reason})") from error
    with open(path, "rb") as file:
        if start.startswith(b"PK\x03\x04"):
            _check_pickle(io.BytesIO(_pickle_in_zip(file)))
        elif start.startswith(_STREAM_START):
            for _ in range(_STREAM_PICKLES):
                _check_pickle(file)
        else:
            raise Refused(_DAMAGED if start else "it is empty")
        file.seek(0)
        allowed = torch.serialization.safe_globals([(OrderedDict, "easydict.EasyDict")])
        # PyTorch warns of pickle protocols and of its own deprecated storages.
        with allowed, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                content: object = torch.load(file, map_location="cpu", weights_only=True)
            # Damage surfaces as many kinds of error; their texts advise weights_only=False.
            except Exception as error:
                raise Refused(_DAMAGED) from error
    storages = {}
    for tensor in _tensors(content):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.itemsize > storage.nbytes():
            raise Refused("one of its tensors has more elements than the file holds")
    # torch.load returns uninitialised memory for a storage that a stream does not list.
    if sum(storages.values()) > path.stat().st_size:
        raise Refused("its tensors need more bytes than the file holds")
    return content


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Raise `Refused` with a tensor's name unless all are finite numbers of a floating type."""
    for name, value in tensors.items():
        key = printable(name[:100])
        if value.dtype not in _FLOATS:
            kind = str(value.dtype).removeprefix("torch.")
            raise Refused(f"{key} is stored as {kind}; get a copy in float32, float16 or bfloat16")
        if not bool(value.isfinite().all()):
            raise Refused(f"{key} holds values that are not finite; get another copy")


def _pickle_in_zip(file: IO[bytes]) -> bytes:
    """Refuse a zip file that would take more memory than its size; return its pickle."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size, count = len(data), sum(1 for _ in re.finditer(b"PK\x01\x02", data))
    if count > MAX_MEMBERS:
        raise Refused(f"it is a zip file with more than {MAX_MEMBERS:,} members")
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
            if len(roots) != 1:
                raise Refused(_DAMAGED)
            if f"{roots[0]}constants.pkl" in names:
                raise Refused("it is a TorchScript file, which holds code; give a state dict")
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
            # Without compression, only members that overlap can be larger than the file.
            if not stored or sum(member.file_size for member in members) > size:
                raise Refused("its zip members are larger than the file; torch.save writes none")
            return archive.read(f"{roots[0]}data.pkl")
    except Refused:
        raise
    # zipfile does not document what it raises for a damaged archive; fuzzing met eight kinds.
    except Exception as error:
        raise Refused(_DAMAGED) from error


def _check_pickle(data: IO[bytes]) -> None:
    """Refuse a pickle, which is not run, that names anything but tensors and containers."""
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= MAX_INSTRUCTIONS:
                raise Refused(f"its pickle has more than {MAX_INSTRUCTIONS:,} instructions")
            if argument == "torch._utils _rebuild_tensor_v3":
                raise Refused("its values have a type such as float8; get a copy in float32")
            if opcode.name == "GLOBAL" and not _NAMES.fullmatch(str(argument)):
                name = printable(str(argument).replace(" ", ".", 1)[:100])
                raise Refused(f"it asks for {name}, which is not for weights; it was not run")
    except (ValueError, OverflowError, MemoryError) as error:
        raise Refused(_DAMAGED) from error


def _tensors(content: object) -> Iterator[Tensor]:
    """Every tensor in nested containers, without recursion."""
    pending, seen = [content], set()
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending.extend(value.values() if isinstance(value, Mapping) else value)
