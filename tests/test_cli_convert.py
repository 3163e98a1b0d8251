"""`prosr convert`, as a user types it."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import fake_release
from prosr import cli
from prosr.checkpoints.finding import find, read_foreign
from prosr.checkpoints.weights import save_weights
from prosr.config import preset
from prosr.layouts import ProSRConfig, VDSRConfig
from prosr.nets.build import build


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = preset("prosr-s-2018")
    assert isinstance(config, ProSRConfig)
    path = tmp_path_factory.mktemp("released") / "proSRs.pth"
    return fake_release.save(path, fake_release.weights(config), zipped=False, options={})


def convert(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["prosr", "convert", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_converted_file_loads_as_the_same_network(
    released: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "new" / "out.safetensors"
    assert convert(monkeypatch, released, output) == 0
    weights = find(output)
    x = torch.rand(1, 3, 8, 9)
    with torch.no_grad():
        assert torch.equal(weights.net(x, 4), read_foreign(released).net(x, 4))
    printed = capsys.readouterr().out
    assert "prosr-s-2018, 198 tensors, 2,550,191 parameters" in printed
    assert weights.sha256 in printed
    assert weights.card["source sha256"] == hashlib.sha256(released.read_bytes()).hexdigest()


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> str:
    """Return the one line with which the command refuses."""
    assert convert(monkeypatch, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_an_existing_output_is_kept_without_overwrite(
    released: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"precious")
    assert "--overwrite" in refused(monkeypatch, capsys, released, output)
    assert output.read_bytes() == b"precious"
    assert convert(monkeypatch, released, output, "--overwrite") == 0
    assert find(output).card["model"] == "prosr-s-2018"


@pytest.mark.parametrize(
    ("source", "output", "problem"),
    [
        ("model.onnx", "out.safetensors", "no model is called"),
        ("model.pth", "out.pth", "must end in .safetensors"),
        ("missing.pth", "out.safetensors", "no such file"),
    ],
)
def test_an_invalid_request_is_refused_in_one_line(
    source: str,
    output: str,
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert problem in refused(monkeypatch, capsys, tmp_path / source, tmp_path / output)


def test_a_weights_file_of_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = VDSRConfig(layers=2, features=2)
    ours = tmp_path / "ours.safetensors"
    save_weights(ours, build(config), {})
    message = refused(monkeypatch, capsys, ours, tmp_path / "out.safetensors")
    assert "needs no conversion; give it as --model" in message


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.witness}",)


def test_a_hostile_file_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": Payload(tmp_path / "ran")}, tmp_path / "evil.pth")
    output = tmp_path / "out.safetensors"
    message = refused(monkeypatch, capsys, tmp_path / "evil.pth", output)
    assert "evil.pth" in message
    assert f"{os.system.__module__}.system" in message
    assert {path.name for path in tmp_path.iterdir()} == {"evil.pth"}


def test_an_output_that_cannot_be_written_is_one_line(
    released: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert convert(monkeypatch, released, tmp_path / "file" / "out.safetensors") == 2
    assert "cannot be written" in capsys.readouterr().err
