"""The two containers that `torch.save` has written: a zip file, and before 1.6 a stream.

Either is a pickle that describes tensors, and the numbers of their storages beside it.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prosr.checkpoints.pickles import Interpreter
from prosr.checkpoints.tensors import Damaged, Refused, Storage, printable
from prosr.errors import CheckpointError

# The largest released file has 62 MB and 500 members. A zip file's directory takes ten times
# its size in memory, so both bounds are needed.
MAX_BYTES = 256 << 20
MAX_MEMBERS = 10_000
_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_VERSION = 1001
_ZIP_START = b"PK\x03\x04"


def read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Return a regular file's content of at most `limit` bytes, 256 MiB unless given.

    Raises `CheckpointError`, also for a larger one.
    """
    limit = limit or MAX_BYTES
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file")
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise CheckpointError(f"{path}: is larger than {limit >> 20} MiB, which no such file is")
    return data


def unpack(data: bytes) -> object:
    """Return what was saved as `data`, executing nothing in it.

    Dicts, lists, tuples, text and numbers are themselves, an instance of any other class
    is a mapping of its items, a tensor is a `StoredTensor`. Raises `Refused`.
    """
    if not data:
        raise Refused("it is empty")
    if data.startswith(_ZIP_START):
        return _unpack_zip(data)
    return _unpack_stream(data)


def _unpack_stream(data: bytes) -> object:
    pickles = Interpreter(memoryview(data))
    try:
        magic = pickles.load()
    except Damaged as damage:
        raise Refused("it is not a file that torch.save wrote") from damage
    if magic != _MAGIC:
        raise Refused("it is a pickle, but not one that torch.save wrote")
    if pickles.load() != _STREAM_VERSION:
        raise Refused("its format is newer than this reader")
    system = pickles.load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Refused("its numbers are big-endian; save it again on an ordinary machine")
    content = pickles.load()
    keys = pickles.load()
    if not isinstance(keys, list):
        raise Refused("it does not list its storages")
    for key in keys:
        storage = pickles.storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise Refused("it lists a storage that nothing uses")
        (numel,) = struct.unpack("<q", pickles.take(8))
        if numel != storage.numel:
            raise Refused(f"storage {printable(storage.key)} is not as long as described")
        storage.raw = pickles.view(numel * storage.dtype.itemsize)
    return content


def _unpack_zip(data: bytes) -> object:
    if data.count(b"PK\x01\x02") > MAX_MEMBERS:
        raise Refused("it is a zip file, but not one that torch.save wrote")
    with _damage_refused():
        archive = zipfile.ZipFile(io.BytesIO(data))
    allowance = len(data)
    members = {info.filename: info for info in archive.infolist()}
    roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Refused("it is a zip file, but not one that torch.save wrote")
    (root,) = roots
    if f"{root}constants.pkl" in members:
        raise Refused("it is a TorchScript archive, which holds code, not a state dict")

    def read(name: str) -> memoryview:
        nonlocal allowance
        info = members.get(root + name)
        if info is None:
            raise Refused(f"it lacks {printable(name)}")
        # torch.save stores without compression, so a member that grows is a zip bomb;
        # members that overlap could still add up to more than the file.
        allowance -= info.file_size
        if info.compress_type != zipfile.ZIP_STORED or allowance < 0:
            raise Refused("it is a zip file, but not one that torch.save wrote")
        with _damage_refused():
            return memoryview(archive.read(info))

    if f"{root}byteorder" in members and bytes(read("byteorder")) != b"little":
        raise Refused("its numbers are big-endian; save it again on an ordinary machine")
    pickles = Interpreter(read("data.pkl"))
    content = pickles.load()
    for storage in pickles.storages.values():
        _fill(storage, read(f"data/{storage.key}"))
    return content


@contextmanager
def _damage_refused() -> Iterator[None]:
    try:
        yield
    # zipfile does not say what it raises for a damaged archive; fuzzing met eight kinds of
    # error, arithmetic ones among them, and Python's versions differ.
    except Exception as error:
        raise Refused(f"its zip archive is damaged ({printable(str(error))})") from error


def _fill(storage: Storage, raw: memoryview) -> None:
    if len(raw) != storage.numel * storage.dtype.itemsize:
        raise Refused(f"storage {printable(storage.key)} is not as long as described")
    storage.raw = raw
