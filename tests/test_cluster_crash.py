"""Pictures that end their worker, on Ray: each is tried again alone with more memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from batches import make_pictures
from prosr.cluster import pipeline
from prosr.cluster.driver import Driver
from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import Record, status_of
from prosr.cluster.worker import Enlarger

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # Ray's own deprecations
]
ray = pytest.importorskip("ray", reason="needs the extra cluster")


class Crashing(Enlarger):
    """Reads beyond its memory at one picture, and is killed by the system at another one."""

    def enlarge(self, entry: Entry) -> Record:
        log = Path(self._options.target).with_name("tries")
        with log.open("a") as file:
            file.write(f"{Path(entry.result).stem} {self._options.max_memory}\n")
        if "p00003" in entry.result:
            ctypes.string_at(0)
        # Linux sends this signal when memory is out.
        if "p00005" in entry.result and int(self._options.max_memory or 0) < 600_000_000:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().enlarge(entry)


def test_a_picture_that_crashes_its_worker_is_tried_alone_with_more_memory_and_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers cannot import this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(pipeline, "Enlarger", Crashing)
    make_pictures(tmp_path / "in", 24)
    options = BatchOptions(
        str(tmp_path / "in"), str(tmp_path / "out"), 2, "bicubic", max_memory="400M"
    )
    try:
        records = list(Driver(options).run(pipeline.Cluster("local", 2).enlarge))
    finally:
        ray.shutdown()
    assert sorted(record.status for record in records) == ["killed", *["made"] * 23]
    (line, numbers) = status_of(options.target)
    assert "p00003.webp: its worker was killed each time, also alone with more memory" in line
    assert sorted(numbers.split(", ")) == ["1 killed", "23 made"]
    tries = defaultdict(list)
    for text in (tmp_path / "tries").read_text().splitlines():
        name, memory = text.split()
        tries[name].append(int(memory))
    # 80 MB are for Ray's object store, half of it for each worker.
    share = 360_000_000
    assert tries["p00003"] == [share, *[2 * share] * (len(tries["p00003"]) - 1)]
    assert len(tries["p00003"]) >= 3
    assert tries["p00005"] == [share, 2 * share]
    assert max(map(len, tries.values())) == len(tries["p00003"])
