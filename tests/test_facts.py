"""What is told of a model is what the model is."""

import sys
from pathlib import Path

import pytest

from prosr import cli
from prosr.checkpoints.weights import find, save_weights
from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.evaluation.facts import facts
from prosr.evaluation.results import PictureScore, Row, save_results
from prosr.layouts import CommunityConfig
from prosr.nets.build import build


@pytest.mark.parametrize("name", ["prosr-s-2018", "table1-block", "table3-laplacian", "vdsr"])
def test_a_preset_without_weights_has_layout_and_costs(name: str) -> None:
    found = facts(name)
    assert found.weights.config == PRESETS[name]
    assert not found.weights.sha256 and not found.weights.card and not found.scores
    net = build(PRESETS[name])
    assert found.parameters == sum(parameter.numel() for parameter in net.parameters())
    for one in found.scales:
        pixels_of_a_megapixel = 1e6 / one.scale**2
        assert one.gflop == pytest.approx(2 * one.multiply_adds * pixels_of_a_megapixel / 1e9)
        assert one.parameters <= found.parameters
        assert one.radius > 2
    assert found.scales[-1].parameters == found.parameters


def test_a_weights_file_has_its_card(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    layout = PRESETS["srcnn"]
    digest = save_weights(path, build(layout), layout, {"steps": 7})
    found = facts(str(path))
    assert (found.name, found.weights.sha256, found.weights.card) == ("mine", digest, {"steps": 7})


def test_scores_are_those_of_the_same_weights() -> None:
    found = facts("prosr-xs")
    assert {(row.model, row.weights) for row in found.scores} == {
        ("prosr-xs", found.weights.sha256)
    }
    assert {row.scale for row in found.scores} == {2, 4, 8}


def test_scores_of_a_results_file_are_added(tmp_path: Path) -> None:
    found = facts("prosr-xs")
    picture = PictureScore(name="a", psnr=12.5, ssim=None, consistency=None, seconds=1.0)
    of_mine = {"set": "Mine", "psnr": 12.5, "pictures": (picture,)}
    mine = Row.model_validate(found.scores[0].model_dump() | of_mine)
    others = found.scores[0].model_copy(update={"weights": "0" * 64, "pictures": mine.pictures})
    save_results(tmp_path / "mine.json", [mine, others])
    with_mine = facts("prosr-xs", [tmp_path / "mine.json"]).scores
    assert mine in with_mine and len(with_mine) == len(found.scores) + 1
    assert facts("progansr-xs", [tmp_path / "mine.json"]).scores == facts("progansr-xs").scores


def test_the_bicubic_has_scores_and_needs_no_weights() -> None:
    assert {row.model for row in facts("bicubic").scores} == {"bicubic"}


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'prosr-xs'"):
        facts("prosr-x")


def test_the_command_prints_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["prosr", "info", "prosr-xs"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "BSD100" in printed
    assert "457,185 parameters" in printed
    assert "hours:" in printed and "trained on:" in printed


def test_what_a_card_says_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    weights, path = find("prosr-xs"), tmp_path / "n.safetensors"
    assert not isinstance(weights.config, CommunityConfig)
    save_weights(path, weights.net, weights.config, {"note": "\x1b[31mred\nand more"})
    monkeypatch.setattr(sys, "argv", ["prosr", "info", str(path)])
    with pytest.raises(SystemExit):
        cli.main()
    assert r"note: \x1b[31mred\nand more" in capsys.readouterr().out
