"""`prosr batch` on Ray: exactly once, whatever dies. Run by `make test-cluster`.

PROSR_PICTURES is the number of pictures of a batch, 2,000 by default.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from batches import make_pictures, placeless

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]
pytest.importorskip("ray", reason="needs the extra cluster")
boto3 = pytest.importorskip("boto3", reason="needs moto's server")

PICTURES = int(os.environ.get("PROSR_PICTURES", "2000"))
KILLS, DRIVER_KILLS = max(3, PICTURES // 100), max(3, PICTURES // 200)

WORDS = [sys.executable, "-m", "prosr"]

Serve = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_pictures(folder, PICTURES)
    return folder


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of the command line, by name."""
    folder = tmp_path_factory.mktemp("expected")
    words = ["upscale", str(source), "--output", str(folder), "--scale", "2", "--quiet"]
    assert subprocess.run([*WORDS, *words], capture_output=True).returncode == 1
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


@pytest.fixture
def serve(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start an S3 server with all pictures; it can fail, stall and list late."""
    running: list[subprocess.Popen[bytes]] = []

    def start(errors: float = 0, stalls: float = 0, late: float = 0) -> Any:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        program = Path(__file__).with_name("faulty_store.py")
        words = [sys.executable, str(program), *map(str, (port, errors, stalls, late))]
        running.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
        names = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        names |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        # Give up on a stalled answer before it comes.
        names["FSSPEC_S3"] = '{"config_kwargs": {"read_timeout": 5}}'
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        # In this process, forget the server of the test before.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        client = boto3.client("s3")
        for _ in range(50):
            try:
                client.create_bucket(Bucket="bucket")
                break
            except Exception:  # the server has not started yet
                time.sleep(0.5)
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        for path in source.rglob("*.*"):
            key = f"in/{path.relative_to(source).as_posix()}"
            client.put_object(Bucket="bucket", Key=key, Body=path.read_bytes())
        time.sleep(late)
        return client

    yield start
    for server in running:
        server.kill()
        server.wait()


def batch(*words: str) -> subprocess.Popen[str]:
    command = [*WORDS, "batch", "s3://bucket/in", "--output", "s3://bucket/out", "--scale", "2"]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *words], text=True, stdout=pipe, stderr=pipe)


def finished(run: subprocess.Popen[str]) -> str:
    out, err = run.communicate()
    assert run.returncode == 1, err[-2000:]
    assert err == ""
    return out


def check(client: Any, expected: dict[str, bytes], late: float = 0) -> None:
    """Every result is there once, as the command line makes it; every entry is in the ledger.

    If the store stalls, a result may have been sent twice: an answer was not waited for.
    """
    from prosr.cluster.ledger import Ledger
    from prosr.cluster.places import Place

    time.sleep(late)
    results = results_in(client)
    assert results.keys() == {f"out/{name}" for name in expected}
    assert late or set(results.values()) == {1}
    for name, data in expected.items():
        made = client.get_object(Bucket="bucket", Key=f"out/{name}")["Body"].read()
        assert placeless(made) == placeless(data), name
    records = Ledger(Place("s3://bucket/out")).records(["result", "status"]).to_pylist()
    last = {row["result"]: row for row in records}
    assert len(last) == PICTURES
    assert {name for name, row in last.items() if row["status"] == "made"} == set(expected)
    assert {row["status"] for row in last.values()} == {"made", "failed"}
    assert max(Counter(row["result"] for row in records if row["status"] == "made").values()) == 1
    found = client.list_objects_v2(Bucket="bucket", Prefix="out/.prosr/")["Contents"]
    left = {entry["Key"].rpartition("/")[2].partition("-")[0] for entry in found}
    assert left == {"index.json", "merged"}


def results_in(client: Any) -> Counter[str]:
    """The keys of results, and how many times each was written."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket="bucket", Prefix="out/d")
    return Counter(v["Key"] for page in pages for v in page.get("Versions", []))


def ray_workers(run: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that enlarge, of a run on a local cluster."""
    try:
        children = psutil.Process(run.pid).children(recursive=True)
        return [child for child in children if "MapWorker" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def test_a_batch_makes_what_the_command_line_makes(
    serve: Serve, expected: dict[str, bytes]
) -> None:
    client = serve()
    finished(batch("--workers", "2"))
    check(client, expected)
    # A second run finds nothing to do, and starts no cluster.
    started = time.monotonic()
    assert f"{len(expected):,} skipped" in finished(batch("--workers", "2"))
    assert time.monotonic() - started < 30


def test_nothing_is_lost_or_made_twice_when_workers_are_killed(
    serve: Serve, expected: dict[str, bytes]
) -> None:
    client, chance, killed = serve(), random.Random(0), 0
    run = batch("--workers", "2")
    while run.poll() is None and killed < KILLS:
        time.sleep(chance.uniform(0.5, 5))
        if found := ray_workers(run):
            chance.choice(found).kill()
            killed += 1
    finished(run)
    assert killed == KILLS
    check(client, expected)


def test_nothing_is_lost_or_made_twice_when_the_driver_is_killed(
    serve: Serve, expected: dict[str, bytes]
) -> None:
    client, chance = serve(), random.Random(0)
    for _ in range(DRIVER_KILLS):
        run = batch("--workers", "2")
        while run.poll() is None and not ray_workers(run):
            time.sleep(0.2)
        time.sleep(chance.uniform(0, PICTURES / 200))
        assert run.poll() is None
        run.kill()
        run.communicate()
    finished(batch("--workers", "2"))
    check(client, expected)


def test_a_store_that_fails_stalls_and_lists_late_costs_time_only(
    serve: Serve, expected: dict[str, bytes]
) -> None:
    client = serve(errors=0.1, stalls=0.002, late=20)
    finished(batch("--workers", "2"))
    check(client, expected, late=20)
