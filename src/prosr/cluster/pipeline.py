"""Ray: the cluster that runs a batch, and the stream of entries through its workers."""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import pyarrow as pa

from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import Record
from prosr.cluster.worker import Enlarger
from prosr.errors import ConfigError
from prosr.inference.engine import thread_count
from prosr.inference.memory import default_memory, parse_size

_STORE, _CORES = 80_000_000, 4
"""Bytes of a local cluster's object store, nearly the least that Ray allows; cores of a worker."""

_BLOCKS = 5_000
"""Tasks of a stream: Ray Data keeps statistics and references of each until the stream ends."""


class _Pool(NamedTuple):
    """Workers on nodes: each has `cores` and may use `memory` bytes, object store included."""

    workers: int
    nodes: int
    cores: float
    memory: int


@dataclass
class Cluster:
    """The cluster at `address` or that the environment names, else one of this machine alone.

    It is opened for the first entries; the local one ends with this process and listens on the
    loopback interface alone.
    """

    address: str | None = None
    workers: int | None = None
    _pool: _Pool | None = None

    def enlarge(
        self, entries: Sequence[Entry], options: BatchOptions, alone: bool
    ) -> Iterator[Record]:
        """The records of the entries as they come. Those whose worker is killed get none.

        A worker has two tasks at most; with `alone`, one entry, and the memory of all on its node.
        """
        pool = self._pool = self._pool or self._open(options.max_memory)
        import ray

        if alone:
            share = -(-pool.workers // pool.nodes)
            pool = pool._replace(workers=pool.nodes, memory=share * pool.memory)
        texts = pa.array([json.dumps(asdict(entry), allow_nan=False) for entry in entries])
        # Ray Data makes a task of each block.
        tasks = len(entries) if alone else min(len(entries), _BLOCKS)
        blocks = ray.data.from_arrow(pa.table({"entry": texts}), override_num_blocks=tasks)
        stream = blocks.map_batches(
            Enlarger,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=pool.workers, max_tasks_in_flight_per_actor=1 if alone else 2
            ),
            fn_constructor_args=(replace(options, max_memory=str(pool.memory)),),
            num_cpus=pool.cores,
            memory=pool.memory,
            max_task_retries=0,
        )
        try:
            for batch in stream.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from (Record(**json.loads(text)) for text in batch["record"].to_pylist())
        except ray.exceptions.RayError as error:
            # Otherwise a worker was killed before it began. Its entries get no records.
            if "creation task" in str(error):
                line = re.sub(r"^[a-z][\w.]*: ", "", str(error).strip().splitlines()[-1])
                raise ConfigError(f"a worker, without Ray's own memory: {line}") from error

    def _open(self, wish: str | None) -> _Pool:
        """Find or start the cluster. A worker gets its share of a node, capped by its request."""
        max_memory, size = parse_size(wish) if wish else 0, dict[str, Any]()
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        if address == "local":
            # Without a network address of this machine Ray takes that of the loopback interface.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            workers = self.workers or max(1, thread_count() // _CORES)
            memory = workers * max_memory or default_memory()
            size = {"num_cpus": thread_count(), "_memory": max(1, memory - _STORE)}
            size |= {"object_store_memory": _STORE, "include_dashboard": False}
        nodes = [node for node in _connect(address, size) if node.get("CPU", 0) >= 1]
        if not nodes:
            raise ConfigError(f"{address}: no node has a CPU; add one with: ray start")
        workers = self.workers or sum(max(1, int(node["CPU"]) // _CORES) for node in nodes)
        share = -(-workers // len(nodes))
        cores, memory = (int(min(node[name] for node in nodes)) for name in ("CPU", "memory"))
        limit = min(max_memory or memory, memory // share)
        return _Pool(workers, len(nodes), cores // share or cores / share, limit)


def _connect(address: str, size: dict[str, Any]) -> list[dict[str, float]]:
    """Connect to Ray, make it silent about killed workers, and return the nodes' resources."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # Ray deprecates arguments such as max_task_retries, but has no others yet.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1
    try:
        with _silent_stderr():
            ray.init(address=address, log_to_driver=False, logging_level="error", **size)
    # Ray raises a plain Exception if its processes do not start within 30 s.
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        hint = "run again, or: ray start --head; if it has a token, set RAY_AUTH_MODE=token"
        raise ConfigError(f"no Ray cluster at {address}: {why}; {hint}") from error
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard output of native code: Ray prints a notice of its quieter settings there."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
