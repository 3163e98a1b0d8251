"""Models of the Hugging Face Hub, from a stand-in for it on loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import prosr
from prosr import hub, models
from prosr.errors import CheckpointError, ConfigError
from prosr.models import find_weights

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = Path(prosr.__file__).parent / "weights"


class Hub(BaseHTTPRequestHandler):
    """One repository: the information about a revision, and its files."""

    def __init__(self, files: dict[str, bytes], asked: list[str], *rest: object) -> None:
        self.files, self.asked = files, asked
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0].removeprefix("/")
        for revision in ("main", COMMIT):
            if path.startswith(f"api/models/us/net/revision/{revision}"):
                siblings = [{"rfilename": name} for name in self.files]
                self._send(json.dumps({"id": "us/net", "sha": COMMIT, "siblings": siblings}))
                return
            if path.startswith(f"api/models/us/net/tree/{revision}"):
                entries = [
                    {"type": "file", "path": name, "size": len(data), "oid": oid(data)}
                    for name, data in self.files.items()
                ]
                self._send(json.dumps(entries))
                return
        name = path.removeprefix(f"us/net/resolve/{COMMIT}/")
        self._send(self.files.get(name, b""), 200 if name in self.files else 404)

    do_HEAD = do_GET

    def _send(self, body: bytes | str, status: int = 200) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{oid(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def oid(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def files() -> dict[str, bytes]:
    names = ["prosr-xs.safetensors", *(f"prosr-xs.x{scale}.onnx" for scale in (2, 4, 8))]
    return {name: (WEIGHTS / name).read_bytes() for name in names} | {"README.md": b"a card"}


@pytest.fixture
def asked(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The paths that were asked for, while the stand-in runs and the cache is empty."""
    paths: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, files, paths))
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    yield paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_of_the_hub_runs_as_the_bundled_one(asked: list[str]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    ours = prosr.load("prosr-xs").upscale(picture, scale=2)
    theirs = prosr.load("hf://us/net").upscale(picture, scale=2)
    np.testing.assert_array_equal(ours, theirs)
    assert not [path for path in asked if "README" in path and "resolve" in path]


def test_a_pinned_commit_needs_no_network_again(asked: list[str]) -> None:
    first = find_weights(f"hf://us/net@{COMMIT}")
    count = len(asked)
    assert count > 0
    assert find_weights(f"hf://us/net@{COMMIT}").sha256 == first.sha256
    assert len(asked) == count


def test_another_hash_is_refused_and_the_same_is_not(asked: list[str]) -> None:
    digest = find_weights("prosr-xs").sha256
    assert find_weights(f"hf://us/net#{digest}").sha256 == digest
    assert find_weights(f"hf://us/net@{COMMIT}#{digest[:12]}").sha256 == digest
    with pytest.raises(CheckpointError, match=f"another hash, {digest}"):
        find_weights("hf://us/net#00000000")


@pytest.mark.usefixtures("asked")
def test_failures_are_one_line(files: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hf://us/lost: cannot be found on the hub"):
        find_weights("hf://us/lost")
    files["second.safetensors"] = b""
    with pytest.raises(CheckpointError, match=r"has 2 \.safetensors files"):
        find_weights("hf://us/net")
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize("address", ["hf://net", "hf://us/net/more", "hf://us/net@", "hf:///"])
def test_malformed_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="not an address such as hf://owner/name@revision"):
        find_weights(address)


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'prosr\[hub\]'"):
        find_weights("hf://us/net")


def test_graphs_beside_a_file_are_used_if_they_are_of_its_parameters(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    weights = find_weights(tmp_path / "prosr-xs.safetensors")
    exported: list[Path] = []

    def export(_: object, folder: Path) -> None:
        exported.append(folder)
        raise CheckpointError("exported")

    model = models.open_model(weights, export)
    assert {path.parent for path in model.graphs.values()} == {tmp_path}
    stale = (tmp_path / "prosr-xs.x4.onnx").read_bytes()
    digest = weights.sha256.encode()
    (tmp_path / "prosr-xs.x4.onnx").write_bytes(stale.replace(digest, digest[::-1]))
    with pytest.raises(CheckpointError, match="exported"):
        models.open_model(weights, export)


def test_the_client_is_not_imported_without_an_address() -> None:
    code = "import prosr, sys; prosr.load('prosr-xs'); print('huggingface_hub' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
