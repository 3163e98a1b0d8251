"""The driver: takes entries from a source to the workers, and what became of them to the ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from time import monotonic

from prosr.cluster.entries import MANIFESTS, BatchOptions, Entry, find_entries
from prosr.cluster.ledger import STATUSES, Ledger, Record, State, leased, record_of
from prosr.cluster.places import ARRIVING, Place
from prosr.errors import ConfigError, ProSRError
from prosr.images.provenance import mark
from prosr.inference.choosing import CLEAN, ROBUST
from prosr.inference.loading import find_model
from prosr.models import bundled_models

_STREAM = 50_000
"""Entries of a stream through the workers. Each stream has new ones."""

_SUSPECTS, _ROUNDS = 100, 3
"""Entries that are tried alone at most, and rounds without any answer before they are set aside."""

_LARGE = re.compile(r"allow (?:more memory|twice that)|out of memory|MemoryError|bad.?alloc")
"""Entries that failed with such a reason are tried alone too, with more memory."""

Enlarge = Callable[[Sequence[Entry], BatchOptions, bool], Iterator[Record]]
"""Yields the records of entries, without those whose workers were killed. If the last argument is
true, each entry is alone in its worker, and has more memory."""


class Driver:
    """Enlarges what the source holds, as far as the ledger of the target lacks it.

    With `retry_failed`, takes only entries that failed or were set aside. `counts` has a number for
    each `Status`, "skipped", "failed before", and "found" once all entries are.
    """

    def __init__(self, options: BatchOptions, retry_failed: bool = False) -> None:
        if not options.target:
            raise ConfigError("a batch has an output; name it with --output")
        if options.engine == "torch":
            raise ConfigError("workers have no PyTorch; choose the engine openvino or onnx")
        self.counts: Counter[str] = Counter()
        options = replace(options, engine=options.engine.replace("auto", "openvino"))
        if (path := Path(options.model)).is_file():
            options = replace(options, model=str(path.absolute()))
        self._options, self._retry_failed = options, retry_failed
        self._target, self._started, self._pixels = Place(options.target), monotonic(), 0
        self._recipe = cache(self._find_recipe)
        self._recipe(options.model, "")

    def plan(self) -> State:
        """The number of entries that `run` would enlarge, and of the others."""
        planned = sum(not entry.refusal for entry in self._pending(Ledger(self._target)))
        return {"planned": planned, **self.counts}

    def run(self, enlarge: Enlarge) -> Generator[Record]:
        """Enlarge all pending entries; yields a record of each. Close it to end early."""
        with leased(self._target, self.state) as check:
            self._target.delete(ARRIVING, folder=True)
            ledger = Ledger(self._target)
            self._check_recipe(ledger)
            pending = self._pending(ledger)
            try:
                while stream := list(islice(pending, _STREAM)):
                    for record in self._finish(stream, enlarge):
                        check()
                        ledger.add(record)
                        self.counts[record.status] += 1
                        self._pixels += record.pixels
                        yield record
            finally:
                ledger.flush()
            ledger.merge()
            self._target.delete(ARRIVING, folder=True)

    def state(self) -> State:
        """What people want to know: the counts, the speed, and the time left if it is known."""
        counts, seconds = self.counts.copy(), max(monotonic() - self._started, 1e-9)
        state: State = {**counts, "megapixels/s": self._pixels / 1e6 / seconds}
        done = sum(counts[status] for status in STATUSES)
        left = counts["found"] - done - counts["skipped"] - counts["failed before"]
        if done and left > 0:
            state["minutes left"] = left * seconds / done / 60
        return state

    def _finish(self, stream: list[Entry], enlarge: Enlarge) -> Iterator[Record]:
        """Yield a record of each entry. Large and unanswered entries are tried again alone."""
        yield from (record_of(e, "failed", e.refusal) for e in stream if e.refusal)
        waiting = {entry.key: entry for entry in stream if not entry.refusal}
        stuck, alone = 0, False
        while waiting and stuck < _ROUNDS:
            before = len(waiting)
            for record in enlarge(list(waiting.values()), self._options, alone):
                # Ray may have run a task twice.
                if record.key in waiting and (alone or not _LARGE.search(record.reason)):
                    del waiting[record.key]
                    yield record
            stuck = stuck + 1 if len(waiting) == before else 0
            alone = bool(stuck) or len(waiting) <= _SUSPECTS
        if len(waiting) > _SUSPECTS:
            raise ConfigError("workers are killed again and again; give them more memory")
        why = "its worker was killed each time, also alone with more memory; set aside"
        yield from (record_of(e, "killed", f"{e.source}: {why}") for e in waiting.values())

    def _pending(self, ledger: Ledger) -> Iterator[Entry]:
        """The entries that are to be enlarged or refused; counts the others."""
        found = 0
        for entry in find_entries(self._options):
            found += 1
            try:
                entry = replace(entry, recipe=self._recipe(entry.model, entry.scale))
            except ProSRError as error:
                entry = replace(entry, refusal=f"{entry.source}: {error}")
            status, current, made = ledger.find(entry)
            overwrite = self._options.overwrite
            if status in STATUSES[1:] if self._retry_failed else overwrite or not current:
                yield replace(entry, replaces=made)
            elif status:
                self.counts["skipped" if status == "made" else "failed before"] += 1
        self.counts["found"] = found

    def _find_recipe(self, model: str, scale: str) -> str:
        options, names = self._options, [model]
        if model == "auto":
            names = [name for name in (CLEAN, ROBUST) if name in bundled_models()]
        found = [find_model(name, options.strength) for name in names]
        name = "/".join(one.name for one in found) + "+" * options.ensemble
        hashes = "".join(one.sha256[: 12 // len(found)] for one in found)
        made_by = mark(name, options.request(scale).mark, hashes)
        return f"{made_by} as {options.file_format}" if options.file_format else made_by

    def _check_recipe(self, ledger: Ledger) -> None:
        theirs = ledger.records(["recipe"])["recipe"].unique().to_pylist()
        free = self._options.overwrite or self._options.source.lower().endswith(MANIFESTS)
        if theirs and not free and self._recipe(self._options.model, "") not in theirs:
            remedy = "give the same options, another output, or --overwrite"
            raise ConfigError(f"{self._options.target}: has results of {min(theirs)!r}; {remedy}")
