"""The driver, the ledger and Ray Data with many logical workers that sleep instead of enlarging.

PROSR_ENTRIES is the number of entries, 100,000 by default; PROSR_LOGICAL that of workers, 200.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from prosr.cluster import pipeline
from prosr.cluster.driver import Driver
from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import record_of, status_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own deprecations
]
ray = pytest.importorskip("ray", reason="needs the extra cluster")

ENTRIES = int(os.environ.get("PROSR_ENTRIES", "100000"))
LOGICAL = int(os.environ.get("PROSR_LOGICAL", "200"))
SECONDS = 0.5
PROCESSES = 4
GROWTH = 500
"""Bytes by which the driver may grow for each entry: it knows the keys of all results."""


class Sleeper:
    """Sleeps instead of enlarging; Ray calls it in several threads."""

    def __init__(self, options: BatchOptions) -> None:
        pass

    def __call__(self, batch: Any) -> dict[str, list[str]]:
        entries = [Entry(**json.loads(text)) for text in batch["entry"].to_pylist()]
        time.sleep(SECONDS * len(entries))
        return {"record": [json.dumps(asdict(record_of(e, "made", ""))) for e in entries]}


def test_time_and_memory_for_an_entry_are_flat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    # Workers cannot import this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    source = tmp_path / "list.csv"
    lines = (f"s3://bucket/some/folder/{number:07}.jpg" for number in range(ENTRIES))
    source.write_text("address\n" + "\n".join(lines) + "\n")
    options = BatchOptions(str(source), str(tmp_path / "out"), 2, "bicubic", max_memory="400M")
    threads = LOGICAL // PROCESSES
    with_threads = partial(
        ray.data.ActorPoolStrategy,
        max_concurrent_calls_per_actor=threads,
        enable_true_multi_threading=True,
    )

    def strategy(size: int, max_tasks_in_flight_per_actor: int) -> Any:
        tasks = max_tasks_in_flight_per_actor * threads
        return with_threads(size=size, max_tasks_in_flight_per_actor=tasks)

    monkeypatch.setattr(ray.data, "ActorPoolStrategy", strategy)
    monkeypatch.setattr(pipeline, "Enlarger", Sleeper)
    driver, cluster = Driver(options), pipeline.Cluster("local", PROCESSES)
    seen: list[tuple[int, float, int]] = []
    process = psutil.Process()
    for number, record in enumerate(driver.run(cluster.enlarge), 1):
        assert record.status == "made"
        if number % (ENTRIES // 10) == 0:
            seen.append((number, time.monotonic(), process.memory_info().rss))
    assert list(status_of(options.target)) == [f"{ENTRIES:,} made"]
    print(f"\n{ENTRIES:,} entries, {LOGICAL} workers: at most {LOGICAL / SECONDS:.0f} entries/s")
    speeds = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(seen)]
    for (count, _, memory), speed in zip(seen[1:], speeds, strict=True):
        print(f"{count:>9,} {speed:7.0f} entries/s {memory / 1e6:6.0f} MB")
    # Each stream begins with the start of its workers, so some tenths are slower.
    assert median(speeds[5:]) > 0.7 * median(speeds[:5])
    assert max(memory for _, _, memory in seen) - seen[0][2] < GROWTH * ENTRIES
