"""A batch on two hosts, of which one is cut off and comes back: two network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]
pytest.importorskip("ray", reason="needs the extra cluster")

PICTURES = int(os.environ.get("PROSR_PICTURES", "2000")) // 2
HOSTS = {"first": "10.77.0.1", "second": "10.77.0.2"}
HEAD = f"{HOSTS['first']}:6380"


def run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


def on(host: str, *words: str) -> list[str]:
    """A command of this environment, to be run on a host."""
    program = str(Path(sys.executable).with_name(words[0]))
    return ["ip", "netns", "exec", host, program, *words[1:]]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Two hosts that are connected; returns what starts Ray on one of them."""
    # Whether this machine has a token or not.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    if not shutil.which("ip") or subprocess.run(["ip", "netns", "add", "first"]).returncode:
        pytest.skip("needs the right to add network namespaces")
    started = []
    # The names of Ray's sockets must be short.
    folder = tempfile.mkdtemp()

    def start(host: str) -> None:
        role = ["--head", "--port", HEAD.partition(":")[2], "--temp-dir", folder]
        role += ["--include-dashboard", "false"]
        options = role if host == "first" else ["--address", HEAD]
        options += ["--node-ip-address", HOSTS[host], "--num-cpus", "1"]
        size = ["--object-store-memory", "100000000"]
        words = on(host, "ray", "start", "--block", "--disable-usage-stats", *options, *size)
        started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT))
        wait_until(lambda: any("raylet/raylet" in command for command in commands(host)))

    try:
        run("ip netns add second")
        run("ip link add first0 netns first type veth peer name second0 netns second")
        for host, address in HOSTS.items():
            run(f"ip -n {host} addr add {address}/24 dev {host}0")
            for device in ("lo", f"{host}0"):
                run(f"ip -n {host} link set {device} up")
        yield start
    finally:
        for host in HOSTS:
            for process in processes(host):
                process.kill()
        for one in started:
            one.wait()
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)
        shutil.rmtree(folder)


def processes(host: str) -> list[psutil.Process]:
    names = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True).stdout
    return [psutil.Process(int(name)) for name in names.split() if psutil.pid_exists(int(name))]


def commands(host: str) -> list[str]:
    found = []
    for process in processes(host):
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)


def enlarges(host: str) -> bool:
    return any("MapWorker" in command for command in commands(host))


def test_a_batch_goes_on_without_a_lost_host_and_takes_it_back(
    hosts: Callable[[str], None], tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(PICTURES):
        pixels = random.integers(0, 256, (320, 320, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number:05}.png")
    hosts("first")
    hosts("second")
    target = tmp_path / "out"
    words = ["batch", str(tmp_path / "in"), "--output", str(target), "--scale", "4"]
    options = ["--address", HEAD, "--workers", "2", "--format", "jpeg", "--max-memory", "600M"]
    pipe = subprocess.PIPE
    batch = subprocess.Popen(
        on("first", "prosr", *words, *options), text=True, stdout=pipe, stderr=pipe
    )

    def made() -> int:
        return len(list(target.glob("*.jpg")))

    wait_until(lambda: batch.poll() is not None or all(map(enlarges, HOSTS)))
    wait_until(lambda: batch.poll() is not None or made() > PICTURES // 10)
    run("ip -n second link set second0 down")
    alone = made()
    wait_until(lambda: batch.poll() is not None or made() > alone + PICTURES // 10)
    run("ip -n second link set second0 up")
    for process in processes("second"):
        process.kill()
    hosts("second")
    wait_until(lambda: batch.poll() is not None or enlarges("second"))
    assert batch.poll() is None, batch.communicate()[1][-2000:]
    back = made()
    out, err = batch.communicate()
    assert (batch.returncode, err) == (0, ""), out
    print(f"\n{alone} results when the host was lost, {back} when it was back, {made()} in the end")
    assert made() == PICTURES > back
    from prosr.cluster.ledger import Ledger
    from prosr.cluster.places import Place

    records = Ledger(Place(str(target))).records(["result", "status"]).to_pylist()
    assert {row["status"] for row in records} == {"made"}
    assert len({row["result"] for row in records}) == PICTURES
