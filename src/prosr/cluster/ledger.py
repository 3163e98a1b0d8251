"""The ledger in a target: the outcome of each entry, in append-only Parquet files.

"part-000123.parquet" holds the records of some seconds. The numbers have no gaps, so that a reader
finds the last part without a listing, which may be late. Many parts are merged into one file;
"index.json" names the merged files and the number of the first part after them. The last record of
a result counts. A lease lets only one run add to the ledger.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from time import sleep, time
from typing import Any, Literal

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from numpy.typing import NDArray

from prosr.cluster.entries import Entry
from prosr.cluster.places import PRIVATE, Place, StoreError
from prosr.errors import ConfigError, printable

FOLDER = f"{PRIVATE}/ledger"
_INDEX = f"{FOLDER}/index.json"
_ROWS, _SECONDS, _PARTS = 2_000, 10.0, 100
"""A part is written after so many records or seconds, and so many parts are merged."""

_LEASE = f"{PRIVATE}/lease.json"
_BEAT, _SILENT = 5.0, 60.0
"""Seconds between two renewals of a lease, and those without one after which it is free."""

Status = Literal["made", "failed", "killed"]
"""`killed`: each worker that tried this entry ended without an answer."""

STATUSES: tuple[Status, ...] = ("made", "failed", "killed")


@dataclass(frozen=True)
class Record:
    """What became of an entry, whose `key` and `state` it has.

    `hash` is the SHA-256 of its bytes, `size` and `pixels` those of the result, `seconds` the time
    that it took a worker on `host`, whose peak so far was `memory` bytes, and `model_hash` the
    SHA-256 of the network's weights. `reason` is the error, or a remark.
    """

    result: str
    source: str
    version: str
    recipe: str
    key: int
    state: int
    status: Status
    reason: str = ""
    hash: str = ""
    size: int = 0
    pixels: int = 0
    seconds: float = 0.0
    memory: int = 0
    model_hash: str = ""
    host: str = ""


_TYPES = {"int": pa.int64(), "float": pa.float64()}
_SCHEMA = pa.schema([(f.name, _TYPES.get(str(f.type), pa.string())) for f in fields(Record)])


def record_of(entry: Entry, status: Status, reason: str, known: Mapping[str, Any] = {}) -> Record:
    """A record of an entry, with names escaped that are not text."""
    names = printable(entry.result), printable(entry.source), entry.version, entry.recipe
    return Record(*names, entry.key, entry.state, status, reason, **known)


class Ledger:
    """Reads the ledger of a target, and adds to it. Raises `StoreError`."""

    def __init__(self, target: Place) -> None:
        self._target = target
        self._records: list[Record] = []
        self._written = time()
        self._merged: list[str] = []
        self._parts: list[bytes] = []
        self._first, index = 0, None
        # A running batch may merge the parts while they are read; then read again.
        while index != (latest := target.read(_INDEX) or b'{"files": [], "next": 0}'):
            index, self._parts = latest, []
            self._merged, self._first = (json.loads(index)[name] for name in ("files", "next"))
            while (part := target.read(_part(self._first + len(self._parts)))) is not None:
                self._parts.append(part)

    def tables(self, columns: list[str]) -> Iterator[pa.Table]:
        for name in self._merged:
            yield self._table(self._target.read(name), columns)
        yield from (self._table(part, columns) for part in self._parts)

    def find(self, entry: Entry) -> tuple[Status | None, bool, bool]:
        """The last status of an entry, if it is as it was then, and if it was made at any time."""
        keys, states, statuses, made = self._known
        place = int(np.searchsorted(keys, entry.key))
        if place == len(keys) or keys[place] != entry.key:
            return None, False, False
        return STATUSES[statuses[place]], bool(states[place] == entry.state), bool(made[place])

    @cached_property
    def _known(self) -> tuple[NDArray[Any], ...]:
        columns = ["key", "state", "status"]
        tables = [_SCHEMA.empty_table().select(columns), *self.tables(columns)]
        keys, states, texts = pa.concat_tables(tables).columns
        codes = pa.compute.index_in(texts, pa.array(STATUSES)).to_numpy()[::-1].astype(np.int8)
        # The last record of each key is the first one from the end.
        backwards = keys.to_numpy()[::-1]
        unique, last, numbers = np.unique(backwards, return_index=True, return_inverse=True)
        made = np.zeros(len(unique), np.bool_)
        made[numbers[codes == STATUSES.index("made")]] = True
        return unique, states.to_numpy()[::-1][last], codes[last], made

    def add(self, record: Record) -> None:
        self._records.append(record)
        if len(self._records) >= _ROWS or time() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._records:
            part = _parquet(pa.Table.from_pylist([asdict(r) for r in self._records], _SCHEMA))
            self._target.write(_part(self._first + len(self._parts)), part)
            self._parts.append(part)
            self._records, self._written = [], time()
            if len(self._parts) >= _PARTS:
                self.merge()

    def merge(self) -> None:
        """Write all parts as one file, and delete what no reader needs any more."""
        numbers = range(self._first, self._first + len(self._parts))
        if numbers:
            name = f"{FOLDER}/merged-{numbers[0]:06}-{numbers[-1]:06}.parquet"
            tables = [self._table(part, None) for part in self._parts]
            self._target.write(name, _parquet(pa.concat_tables(tables)))
            self._merged, self._first, self._parts = [*self._merged, name], numbers.stop, []
            index = json.dumps({"files": self._merged, "next": self._first}, allow_nan=False)
            self._target.write(_INDEX, index.encode())
        listed = {f"{FOLDER}/{i['name'].rpartition('/')[2]}" for i in self._target.list(FOLDER)}
        for name in {*listed, *map(_part, numbers)} - {_INDEX, *self._merged}:
            self._target.delete(name)

    def _table(self, data: bytes | None, columns: list[str] | None) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(data or b""), columns=columns)
        except (pa.ArrowException, OSError) as error:
            what = f"{self._target.shown(FOLDER)}: a file in it is missing or damaged"
            raise StoreError(f"{what}; restore it, or delete all to begin again") from error


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _part(number: int) -> str:
    return f"{FOLDER}/part-{number:06}.parquet"


def read_lease(target: Place) -> dict[str, Any]:
    return dict(json.loads(target.read(_LEASE) or b"{}"))


@contextmanager
def leased(target: Place, state: Callable[[], dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """Hold the lease of a target during the block, and write `state()` into it when renewing it.

    Yields a function that raises `StoreError` once the lease cannot be renewed any more. Raises
    `ConfigError` if another run has renewed it in the last minute, and has not ended here.
    """
    trouble, ended = "", threading.Event()
    who = {"run": secrets.token_hex(8), "host": socket.gethostname(), "pid": os.getpid()}

    def renew() -> None:
        now = {**who, "state": state(), "time": time()}
        target.write(_LEASE, json.dumps(now, allow_nan=False).encode())

    def keep() -> None:
        nonlocal trouble
        while not trouble and not ended.wait(_BEAT):
            try:
                if read_lease(target).get("run") == who["run"]:
                    renew()
                else:
                    trouble = f"{target.address}: another run has taken the lease"
            except StoreError as error:
                trouble = str(error)

    def check() -> None:
        if trouble:
            raise StoreError(trouble)

    holder = read_lease(target)
    here = holder.get("host") == who["host"] and not psutil.pid_exists(holder["pid"])
    if here or time() - holder.get("time", 0) > _SILENT:
        renew()
        # Of several runs that found the lease free, the last one to write gets it.
        sleep(1)
        holder = read_lease(target)
    if holder.get("run") != who["run"]:
        other = f"process {holder.get('pid')} on {holder.get('host')}"
        wait = "wait for it, or give another output"
        raise ConfigError(f"{target.address}: another run adds to it ({other}); {wait}")
    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        ended.set()
        thread.join()
        if not trouble:
            target.delete(_LEASE)
