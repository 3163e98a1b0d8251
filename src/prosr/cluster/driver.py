"""The driver: takes entries from a source to the workers, and what became of them to the ledger."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import islice
from time import monotonic
from typing import Any

from prosr.cluster.entries import MANIFESTS, BatchOptions, Entry, find_entries
from prosr.cluster.ledger import STATUSES, Ledger, Record, leased, read_lease, record_of
from prosr.cluster.places import ARRIVING, Place
from prosr.errors import ConfigError, ProSRError
from prosr.images.provenance import mark
from prosr.inference.loading import find_model

_FIRST, _MOST = 500, 50_000
"""Entries of the first stream through the workers, and of later ones, each with new workers."""

_SUSPECTS, _ROUNDS = 100, 3
"""Entries that are tried alone at most, and rounds without any answer before they are set aside."""

_LARGE = re.compile(r"allow (?:more memory|twice that)|out of memory", re.IGNORECASE)
"""Entries that failed with such a reason are tried alone too, with more memory."""

State = dict[str, float]
Enlarge = Callable[[Sequence[Entry], BatchOptions, bool], Iterator[Record]]
"""Yields the records of entries, without those whose workers were killed. If the last argument is
true, each entry is alone in its worker, and has more memory."""


class Driver:
    """Enlarges what the source holds, as far as the ledger of the target lacks it.

    With `retry_failed`, takes only entries that failed or were set aside. `counts` has a number for
    each `Status`, "skipped", "failed before", "pixels", and "found" once all entries are.
    Raises `ConfigError` for a request that cannot be fulfilled, and `StoreError`.
    """

    def __init__(self, options: BatchOptions, retry_failed: bool = False) -> None:
        if not options.target or options.engine == "torch":
            remedy = "choose the engine openvino or onnx" if options.target else "name an --output"
            raise ConfigError(f"a batch has workers without PyTorch, and an output; {remedy}")
        self.counts: Counter[str] = Counter()
        self._options, self._retry_failed = options, retry_failed
        self._target, self._started = Place(options.target), monotonic()
        self._recipe = cache(self._find_recipe)
        self._recipe(options.model, "")

    def plan(self) -> int:
        """The number of entries that `run` would enlarge; counts the others."""
        return sum(not entry.refusal for entry in self._pending(Ledger(self._target)))

    def run(
        self, enlarge: Enlarge, tell: Callable[[str, str], None], show: Callable[[State], State]
    ) -> None:
        """Enlarge all pending entries. `tell` gets each status and reason."""
        with leased(self._target, lambda: show(self.state())) as check:
            self._target.delete(ARRIVING, folder=True)
            ledger = Ledger(self._target)
            self._check_recipe(ledger)

            def add(record: Record) -> None:
                check()
                ledger.add(record)
                self.counts.update({record.status: 1, "pixels": record.pixels})
                tell(record.status, record.reason)

            try:
                for chunk in self._chunks(ledger):
                    for entry in chunk:
                        if entry.refusal:
                            add(record_of(entry, "failed", entry.refusal))
                    self._finish([entry for entry in chunk if not entry.refusal], enlarge, add)
            finally:
                ledger.flush()
            ledger.merge()
            self._target.delete(ARRIVING, folder=True)

    def state(self) -> State:
        """What people want to know: the counts, the speed, and the time left if it is known."""
        counts, seconds = self.counts, max(monotonic() - self._started, 1e-9)
        done = sum(counts[status] for status in STATUSES)
        state: State = {**counts, "megapixels/s": counts["pixels"] / 1e6 / seconds}
        if done and counts["found"]:
            todo = counts["found"] - done - counts["skipped"] - counts["failed before"]
            state["minutes left"] = todo * seconds / done / 60
        return state

    def _finish(self, left: list[Entry], enlarge: Enlarge, add: Callable[[Record], None]) -> None:
        """Enlarge the entries. Those without an answer and large ones are tried again alone."""
        stuck, alone = 0, False
        while left and stuck < _ROUNDS:
            waiting = {entry.key: entry for entry in left}
            for record in enlarge(left, self._options, alone):
                # Ray may have run a task twice.
                if record.key in waiting and (alone or not _LARGE.search(record.reason)):
                    del waiting[record.key]
                    add(record)
            stuck = stuck + 1 if len(waiting) == len(left) else 0
            left, alone = list(waiting.values()), bool(stuck) or len(waiting) <= _SUSPECTS
        if len(left) > _SUSPECTS:
            raise ConfigError("workers are killed again and again; give them more memory")
        for entry in left:
            why = "its worker was killed each time, also alone with more memory; set aside"
            add(record_of(entry, "killed", f"{entry.source}: {why}"))

    def _chunks(self, ledger: Ledger) -> Iterator[list[Entry]]:
        pending = self._pending(ledger)
        with ThreadPoolExecutor(1, "listing") as listing:
            following = listing.submit(lambda: list(islice(pending, _FIRST)))
            while chunk := following.result():
                following = listing.submit(lambda: list(islice(pending, _MOST)))
                yield chunk

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
        found, options = find_model(model, self._options.strength), self._options
        name = f"{found.name}{'+' * options.ensemble}"
        made_by = mark(name, options.request(scale).mark, found.sha256)
        return f"{made_by} as {options.file_format}" if options.file_format else made_by

    def _check_recipe(self, ledger: Ledger) -> None:
        options = self._options
        tables = ledger.tables(["recipe"])
        theirs = {recipe for table in tables for recipe in table["recipe"].unique().to_pylist()}
        free = options.overwrite or options.source.lower().endswith(MANIFESTS)
        if theirs and not free and self._recipe(options.model, "") not in theirs:
            remedy = "give the same options, another output, or --overwrite"
            raise ConfigError(f"{options.target}: has results of {min(theirs)!r}; {remedy}")


def status_of(address: str) -> tuple[list[tuple[str, str]], dict[str, Any]]:
    """The status and reason of each entry, and the state of a run that goes on."""
    target, last = Place(address), dict[int, tuple[str, str]]()
    run = read_lease(target)
    for table in Ledger(target).tables(["key", "status", "reason"]):
        last |= {row["key"]: (row["status"], row["reason"]) for row in table.to_pylist()}
    if not last and not run:
        raise ConfigError(f"{address}: has no ledger; name the output of a batch")
    return list(last.values()), run.get("state", {})
