"""A worker: one process with one engine, which enlarges entries as `prosr upscale` does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import pyarrow as pa

from prosr import jobs
from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import Record, Status, record_of
from prosr.cluster.places import Place
from prosr.errors import ImageError, ProSRError, printable
from prosr.images.formats import find_format
from prosr.inference.auto import load
from prosr.inference.memory import default_memory, parse_size, peak_memory

_PLAIN = 120_000_000
"""Bytes of a process before it loads a model. What a worker has beyond that is of Ray and Arrow."""


class Enlarger:
    """Enlarges entries one after another with one engine. Raises what `prosr.load` raises."""

    def __init__(self, options: BatchOptions) -> None:
        self._options, self._target = options, Place(options.target)
        extra = max(0, psutil.Process().memory_info().rss - _PLAIN)
        limit = options.max_memory
        self._limit = parse_size(limit) - extra if limit else default_memory()
        how = {name: getattr(options, name) for name in ("engine", "ensemble", "strength")}
        self._upscaler = lru_cache(maxsize=1)(partial(load, **how))
        self._upscaler(options.model, max_memory=self._limit)
        for folder in Path(tempfile.gettempdir()).glob("prosr-batch-*-*"):
            # A worker has been killed, and left its folder.
            if not psutil.pid_exists(int(folder.name.split("-")[2])):
                shutil.rmtree(folder, ignore_errors=True)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Entries and records as columns of JSON: names need not be text."""
        entries = (Entry(**json.loads(text)) for text in batch.column("entry").to_pylist())
        texts = [json.dumps(asdict(self.enlarge(entry)), allow_nan=False) for entry in entries]
        return pa.table({"record": pa.array(texts, pa.string())})

    def enlarge(self, entry: Entry) -> Record:
        """Make the result of an entry and put it in place. If that fails, the record says why."""
        started, known = perf_counter(), dict[str, Any]()
        status: Status = "failed"
        try:
            with tempfile.TemporaryDirectory(prefix=f"prosr-batch-{os.getpid()}-") as folder:
                reason = self._enlarge(entry, Path(folder), known)
            status = "made"
        except ProSRError as error:
            reason = str(error)
        except OSError as error:
            reason = f"{entry.source}: {error.strerror or error}; check the worker's disk"
        # Even a bug of prosr must not stop the other entries.
        except Exception as error:
            reason = f"{entry.source}: unexpected {type(error).__name__}: {error}"
        known |= {"seconds": perf_counter() - started, "memory": peak_memory() or 0}
        return record_of(entry, status, printable(" ".join(reason.split())), known)

    def _enlarge(self, entry: Entry, folder: Path, known: dict[str, Any]) -> str:
        """Fill `known`; return a remark, or an empty string."""
        source, target = self._fetch(entry, folder), folder / f"result{Path(entry.result).suffix}"
        with source.open("rb") as file:
            known["hash"] = hashlib.file_digest(file, "sha256").hexdigest()
        if not (overwrite := self._options.overwrite):
            # A worker may have been killed after it had put the result in place.
            self._target.fetch(entry.result, target)
        wanted = find_format(self._options.file_format) if self._options.file_format else None
        size = self._options.request(entry.scale)
        try:
            found = jobs.find([str(source)], size, str(target), wanted)
            (job,), limit = jobs.fit(found, size, self._limit)
            upscaler = self._upscaler(entry.model, max_memory=limit)
            before = upscaler.work.pixels
            (outcome,) = jobs.run(upscaler, [job], size, overwrite=overwrite)
            if outcome.status == "failed" and entry.replaces:
                (outcome,) = jobs.run(upscaler, [job], size, overwrite=True)
            if outcome.status == "failed":
                raise ImageError(outcome.reason)
        except ProSRError as error:
            shown = str(error).replace(str(target), self._target.shown(entry.result))
            raise ImageError(shown.replace(str(source), entry.source)) from error
        known |= {"model_hash": upscaler.suited(source)[0].sha256}
        known |= {"size": target.stat().st_size, "pixels": upscaler.work.pixels - before}
        if outcome.status == "made":
            self._target.put(entry.result, target)
        return "; ".join(filter(None, (outcome.reason, *outcome.notes)))

    def _fetch(self, entry: Entry, folder: Path) -> Path:
        """The entry's file: a local one where it is, others as a copy in the folder."""
        store = Place(entry.address)
        path = folder / f"source{Path(entry.source).suffix}"
        if entry.size is not None:
            path.write_bytes(store.read("", entry.start, entry.start + entry.size) or b"")
        elif store.local:
            return Path(store.root)
        else:
            store.fetch("", path)
        if not path.exists():
            raise ImageError(f"{entry.source}: no such file")
        return path
