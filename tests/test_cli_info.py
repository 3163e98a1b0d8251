"""`prosr info` prints a model's layout, costs, training and scores."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prosr import cli
from prosr.checkpoints.finding import find, find_or_build
from prosr.checkpoints.weights import save_weights
from prosr.cli.info import model_scores
from prosr.config import PRESETS
from prosr.nets.build import build
from prosr.nets.cost import trace

Info = Callable[[str], str]


@pytest.fixture
def info(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Info:
    """Runs `prosr info` in an empty folder and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(model: str) -> str:
        monkeypatch.setattr(sys, "argv", ["prosr", "info", model])
        with pytest.raises(SystemExit):
            cli.main()
        printed = capsys.readouterr()
        return printed.out + printed.err

    return run


@pytest.mark.parametrize("name", ["prosr-s-2018", "table1-block", "table3-laplacian", "vdsr"])
def test_a_preset_without_weights_has_layout_and_costs(name: str, info: Info) -> None:
    printed, net = info(name), build(PRESETS[name])
    count = sum(parameter.numel() for parameter in net.parameters())
    assert f"{name}: {count:,} parameters\n" in printed
    assert f"kind = {PRESETS[name].kind}" in printed
    assert "it comes without weights" in printed
    cells = {line.split()[1]: line.split() for line in printed.splitlines() if "×" in line}
    for scale in net.scales:
        cost = trace(net, scale)
        numbers = [word for word in cells[f"×{scale}"][2:] if word != "│"]
        gflop = 2 * cost.macs * (1e6 / scale**2) / 1e9
        assert numbers == [f"{net.parameter_count(scale):,}", f"{gflop:.0f}", str(cost.radius)]


def test_a_weights_file_shows_its_card(tmp_path: Path, info: Info) -> None:
    layout = PRESETS["srcnn"]
    digest = save_weights(tmp_path / "mine.safetensors", build(layout), {"steps": 7})
    printed = info("mine.safetensors")
    assert printed.startswith("mine: ")
    assert f"weights {digest}\nsteps: 7\n" in printed


def test_scores_are_those_of_the_same_weights(tmp_path: Path) -> None:
    weights = find("prosr-xs")
    scores = model_scores(weights)
    assert {(row.model, row.weights) for row in scores} == {("prosr-xs", weights.sha256)}
    assert {row.scale for row in scores} == {2, 4, 8}
    assert not model_scores(find_or_build("vdsr"))


def test_the_bicubic_has_scores_and_needs_no_weights(info: Info) -> None:
    assert {row.model for row in model_scores(find("bicubic"))} == {"bicubic"}
    assert "it needs no weights" in info("bicubic")


def test_an_unknown_name_is_refused_with_the_nearest(info: Info) -> None:
    assert "did you mean 'prosr-xs'" in info("prosr-x")


def test_a_bundled_model_shows_its_training_and_scores(info: Info) -> None:
    printed = info("prosr-xs")
    assert "BSD100" in printed
    assert "508,625 parameters" in printed
    assert "hours:" in printed and "trained on:" in printed


def test_a_card_cannot_control_the_terminal(tmp_path: Path, info: Info) -> None:
    weights = find("prosr-xs")
    path = tmp_path / "n.safetensors"
    save_weights(path, weights.net, {"note": "\x1b[31mred\nand more"})
    assert r"note: \x1b[31mred\nand more" in info(str(path))
