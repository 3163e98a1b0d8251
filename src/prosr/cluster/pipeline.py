"""Ray: the cluster that runs a batch, and the stream of entries through its workers."""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import pyarrow as pa

from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import Record
from prosr.cluster.worker import Enlarger
from prosr.errors import ConfigError
from prosr.inference.engine import thread_count
from prosr.inference.memory import default_memory

_STORE, _CORES = 80_000_000, 4
"""Bytes of a local cluster's object store, through which only entries and records pass: nearly the
least that Ray allows. Cores of a worker by default."""

_TASKS, _MOST = 25, 16
"""Ray Data starts some 100 tasks a second. A task has an entry more for each so many workers."""


class _Pool(NamedTuple):
    """Workers on nodes: each has `cores` and may use `memory` bytes, object store included."""

    workers: int
    nodes: int
    cores: int
    memory: int


class Cluster:
    """The cluster at `address` or that the environment names, else one of this machine alone.

    It is opened for the first entries; the local one ends with this process and listens on the
    loopback interface alone. `max_memory` is the limit of a worker in bytes, by default its share
    of half of the memory. `worker` is called with tables of entries, in so many `threads` at once.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        max_memory: int | None = None,
        worker: Any = Enlarger,
        threads: int = 1,
    ) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._workers, self._max_memory = workers, max_memory
        self._worker, self._threads = worker, threads
        self._pool: _Pool | None = None

    def enlarge(
        self, entries: Sequence[Entry], options: BatchOptions, alone: bool
    ) -> Iterator[Record]:
        """The records of the entries as they come. Those whose worker is killed get none.

        A worker has two tasks at most; with `alone`, one entry, and the memory of all on its node.
        """
        pool = self._pool = self._pool or self._open()
        import ray

        threads, rows = self._threads, min(1 + pool.workers * self._threads // _TASKS, _MOST)
        if alone:
            share = -(-pool.workers // pool.nodes)
            pool = pool._replace(workers=pool.nodes, memory=share * pool.memory)
            threads = rows = 1
        texts = pa.array([json.dumps(asdict(entry), allow_nan=False) for entry in entries])
        strategy = ray.data.ActorPoolStrategy(
            size=pool.workers,
            max_tasks_in_flight_per_actor=1 if alone else 2 * threads,
            max_concurrent_calls_per_actor=threads,
            enable_true_multi_threading=threads > 1,
        )
        options = replace(options, max_memory=pool.memory)
        how = {"batch_format": "pyarrow", "compute": strategy, "fn_constructor_args": (options,)}
        how |= {"num_cpus": pool.cores, "memory": pool.memory, "max_task_retries": 0}
        # Ray deprecates arguments such as max_task_retries, but has no others yet.
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        tables = ray.data.from_arrow(pa.table({"entry": texts}))
        # Ray Data makes a task of each table that this returns.
        split = {"batch_size": rows, "batch_format": "pyarrow", "num_cpus": 0}
        tasks = tables.map_batches(lambda table: table, **split)
        stream = tasks.map_batches(self._worker, batch_size=None, **how)
        try:
            for batch in stream.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from (Record(**json.loads(text)) for text in batch["record"].to_pylist())
        except ray.exceptions.RayError as error:
            # Otherwise a worker was killed before it began. Its entries get no records.
            if "creation task" in str(error):
                line = re.sub(r"^[a-z][\w.]*: ", "", str(error).strip().splitlines()[-1])
                raise ConfigError(f"a worker, without Ray's own memory: {line}") from error

    def _open(self) -> _Pool:
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
        if local := self._address == "local":
            # Without a network address of this machine Ray takes that of the loopback interface.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        import ray
        import ray.data

        # Ray Data reports a killed worker with tracebacks; the ledger says what became of it.
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        # The tasks of killed workers are dropped. Small tables pass at once, many at a time.
        context.max_errored_blocks, context.target_max_block_size = -1, 1
        context._max_num_blocks_in_streaming_gen_buffer = 200
        size: dict[str, Any] = {}
        if local:
            cores = thread_count()
            workers = self._workers or max(1, cores // _CORES)
            memory = (self._max_memory or default_memory() // workers) - _STORE // workers
            pool = _Pool(workers, 1, max(1, cores // workers), memory)
            size = {"num_cpus": workers * pool.cores, "_memory": workers * memory}
            size |= {"object_store_memory": _STORE, "include_dashboard": False}
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            # Ray writes to standard error that it was told to write less.
            os.dup2(nothing, 2)
            ray.init(address=self._address, log_to_driver=False, logging_level="error", **size)
        except (ConnectionError, ValueError, RuntimeError) as error:
            why = f"{' '.join(str(error).split())[:200]}; start one with: ray start --head"
            raise ConfigError(f"no Ray cluster at {self._address}: {why}") from error
        finally:
            os.dup2(kept, 2)
        return pool if local else self._remote([node["Resources"] for node in ray.nodes()])

    def _remote(self, nodes: list[dict[str, float]]) -> _Pool:
        nodes = [node for node in nodes if node.get("CPU", 0) >= 1]
        if not nodes:
            raise ConfigError(f"{self._address}: no node has a CPU; add one with: ray start")
        workers = self._workers or sum(max(1, int(node["CPU"]) // _CORES) for node in nodes)
        share = -(-workers // len(nodes))
        cores, memory = (int(min(n[name] for n in nodes)) // share for name in ("CPU", "memory"))
        limit = min(self._max_memory or memory // 2, memory)
        return _Pool(workers, len(nodes), max(1, min(cores, _CORES)), limit)
