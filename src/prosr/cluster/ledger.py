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
from collections import Counter
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

State = dict[str, float]
"""What people want to know of a run: numbers by what they count."""


@dataclass(frozen=True, slots=True)
class Record:
    """What became of an entry, whose `key` and `state` it has.

    `hash` is the SHA-256 of its bytes, `size` and `pixels` those of the result, `seconds` the time
    that it took a worker whose peak so far was `memory` bytes, and `model_hash` the SHA-256 of the
    network's weights. `reason` is the error, or a remark.
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
        self._merged, self._parts = list[str](), list[bytes]()
        self._first, index = 0, None
        # A running batch may merge the parts while they are read; then read again.
        while index != (latest := target.read(_INDEX) or b'{"files": [], "next": 0}'):
            index, self._parts = latest, []
            self._merged, self._first = (json.loads(index)[name] for name in ("files", "next"))
            while (part := target.read(_part(self._first + len(self._parts)))) is not None:
                self._parts.append(part)

    def records(self, columns: list[str]) -> pa.Table:
        """These columns of all records, the oldest first."""
        merged = (self._target.read(name) for name in self._merged)
        tables = [self._table(data, columns) for data in (*merged, *self._parts)]
        return pa.concat_tables([_SCHEMA.empty_table().select(columns), *tables])

    def find(self, entry: Entry) -> tuple[Status | None, bool, bool]:
        """The last status of an entry, if it is as it was then, and if it was made at any time."""
        keys, states, statuses, made = self._known
        place = int(np.searchsorted(keys, entry.key))
        if place == len(keys) or keys[place] != entry.key:
            return None, False, False
        return STATUSES[statuses[place]], bool(states[place] == entry.state), bool(made[place])

    @cached_property
    def _known(self) -> tuple[NDArray[Any], ...]:
        """The keys in order, with each key's last state and status, and whether it was made."""
        records = self.records(["key", "state", "status"])
        last = last_of_each_key(records)
        made = records.filter(pa.compute.equal(records["status"], "made"))["key"].to_numpy()
        codes = pa.compute.index_in(last["status"], pa.array(STATUSES)).to_numpy()
        keys = last["key"].to_numpy()
        return keys, last["state"].to_numpy(), codes.astype(np.int8), np.isin(keys, made)

    def add(self, record: Record) -> None:
        self._records.append(record)
        if len(self._records) >= _ROWS or time() - self._written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._records:
            part = _parquet(pa.Table.from_pylist([asdict(r) for r in self._records], _SCHEMA))
            self._target.put(_part(self._first + len(self._parts)), part)
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
            self._target.put(name, _parquet(pa.concat_tables(tables)))
            self._merged, self._first, self._parts = [*self._merged, name], numbers.stop, []
            index = json.dumps({"files": self._merged, "next": self._first}, allow_nan=False)
            self._target.put(_INDEX, index.encode())
        listed = {f"{FOLDER}/{i['name'].rpartition('/')[2]}" for i in self._target.list(FOLDER)}
        for name in {*listed, *map(_part, numbers)} - {_INDEX, *self._merged}:
            self._target.delete(name)

    def _table(self, data: bytes | None, columns: list[str] | None) -> pa.Table:
        try:
            return pq.read_table(io.BytesIO(data or b""), columns=columns)
        except (pa.ArrowException, OSError) as error:
            what = f"{self._target.shown(FOLDER)}: a file in it is missing or damaged"
            raise StoreError(f"{what}; restore it, or delete all to begin again") from error


def last_of_each_key(records: pa.Table) -> pa.Table:
    """The last record of each key, sorted by key."""
    _, from_end = np.unique(records["key"].to_numpy()[::-1], return_index=True)
    return records.take(len(records) - 1 - from_end)


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _part(number: int) -> str:
    return f"{FOLDER}/part-{number:06}.parquet"


def described(state: State) -> str:
    return ", ".join(f"{round(value, 1):,} {name}" for name, value in state.items())


def status_of(address: str) -> Iterator[str]:
    """Lines: each entry without a result; then the numbers of all, and the state of a run."""
    run = _read_lease(target := Place(address))
    last = last_of_each_key(Ledger(target).records(["key", "status", "reason"]))
    if not len(last) and not run:
        raise ConfigError(f"{address}: has no ledger; name the output of a batch")
    for row in last.filter(pa.compute.not_equal(last["status"], "made")).to_pylist():
        yield f"{row['status']:8} {row['reason']}"
    state = {**run.get("state", {}), **Counter(last["status"].to_pylist())}
    yield described(state | {"seconds ago": time() - run["time"]} if run else state)


def _read_lease(target: Place) -> dict[str, Any]:
    return dict(json.loads(target.read(_LEASE) or b"{}"))


@contextmanager
def leased(target: Place, state: Callable[[], State]) -> Iterator[Callable[[], None]]:
    """Hold the lease of a target during the block, and write `state()` into it when renewing it.

    Yields a function that raises `StoreError` once the lease cannot be renewed any more. Raises
    `ConfigError` if another run has renewed it in the last minute, and has not ended here.
    """
    trouble, ended = list[Exception](), threading.Event()
    who = {"run": secrets.token_hex(8), "host": socket.gethostname(), "pid": os.getpid()}

    def renew() -> None:
        now = {**who, "state": state(), "time": time()}
        target.put(_LEASE, json.dumps(now, allow_nan=False).encode())

    def check_holder() -> None:
        holder = _read_lease(target)
        if holder.get("run") != who["run"]:
            other = f"process {holder.get('pid')} on {holder.get('host')}"
            why = f"another run adds to it ({other}); wait for it, or give another output"
            raise ConfigError(f"{target.address}: {why}")

    def keep() -> None:
        try:
            while not ended.wait(_BEAT):
                check_holder()
                renew()
        # After any error the lease is no longer renewed, so another run may take it.
        except Exception as error:
            trouble.append(error)

    def check() -> None:
        if trouble:
            raise StoreError(str(trouble[0])) from trouble[0]

    holder = _read_lease(target)
    here = holder.get("host") == who["host"] and not psutil.pid_exists(holder["pid"])
    if here or time() - holder.get("time", 0) > _SILENT:
        renew()
        # Of several runs that found the lease free, the last one to write gets it.
        sleep(1)
    check_holder()
    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        ended.set()
        thread.join()
        if not trouble:
            target.delete(_LEASE)
