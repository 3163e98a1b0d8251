"""Network interpolation between a GAN's generator and the network that it was trained from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import prosr
from prosr.checkpoints.finding import find
from prosr.checkpoints.graphs import export_weights
from prosr.checkpoints.weights import save_weights, weights_hash
from prosr.config import net_config, preset
from prosr.errors import CheckpointError, ConfigError
from prosr.inference.loading import find_model
from prosr.layouts import ProSRConfig
from prosr.models import find_weights
from prosr.nets.build import build


def layout(name: str) -> ProSRConfig:
    small = {"features": 4, "growth": (2, 2, 2), "upsampled": (4, 4, 4)}
    config = net_config(preset(name).model_dump() | small)
    assert isinstance(config, ProSRConfig)
    return config


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A GAN's weights file with that of its partner beside it."""
    torch.manual_seed(0)
    plain = layout("prosr-xs")
    sha256 = save_weights(tmp_path / "prosr-xs.safetensors", build(plain), {})
    config = layout("progansr-xs")
    card = {"partner": {"model": "prosr-xs", "sha256": sha256}}
    save_weights(tmp_path / "mine.safetensors", build(config), card)
    return tmp_path / "mine.safetensors"


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.7, 0.93])
def test_parameters_are_interpolated_as_torch_does(strength: float) -> None:
    start, end = (find(name).net.state_dict() for name in ("prosr-xs", "progansr-xs"))
    state = {name: torch.lerp(start[name], value, strength) for name, value in end.items()}
    expected = weights_hash(state)
    for found in (find_weights(f"progansr-xs@{strength}"), find("progansr-xs", strength)):
        assert (found.name, found.sha256) == (f"progansr-xs@{strength:g}", expected)


def test_strength_0_is_the_partner() -> None:
    partner, given = find_model("prosr-xs"), find_model("progansr-xs@0")
    assert given == partner


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_an_interpolated_graph_gives_the_result_of_torch(engine: str) -> None:
    x = np.random.default_rng(0).random((9, 8, 3), np.float32)
    given, reference = (prosr.load("progansr-xs@0.7", engine=e) for e in (engine, "torch"))
    assert (given.name, given.sha256) == (reference.name, reference.sha256)
    least = 1e-4 if given.work.engine.precision == "fp32" else 2e-2
    for scale in (2, 4, 8):
        assert np.abs(given.upscale(x, scale) - reference.upscale(x, scale)).max() < least


def test_every_parameter_of_a_gan_lies_in_its_weights_file_and_not_in_its_graphs() -> None:
    """Otherwise interpolated parameters would not reach the graph."""
    model, weights = find_model("progansr-xs"), find_weights("progansr-xs")
    referred = set()
    for path in model.graphs.values():
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                referred.add(tensor.name.removeprefix("net."))
    assert referred == set(weights.tensors)


def test_both_ends_are_exact(pair: Path) -> None:
    partner = find(pair.with_name("prosr-xs.safetensors"))
    for strength, expected in ((0, partner), (1, find(pair))):
        given = find(pair, strength)
        assert given.sha256 == expected.sha256
        assert given.net.layout == expected.net.layout
        x = torch.rand(1, 3, 5, 6)
        assert torch.equal(given.net(x, 4), expected.net(x, 4))


def test_between_them_each_parameter_is_between_them(pair: Path) -> None:
    ends = [find(pair, strength).net.state_dict() for strength in (0, 1)]
    given = find(pair, 0.25)
    for name, value in given.net.state_dict().items():
        torch.testing.assert_close(value, 0.75 * ends[0][name] + 0.25 * ends[1][name])
    assert (given.name, given.net.layout) == ("mine@0.25", find(pair).net.layout)
    assert len({given.sha256, find(pair, 0.5).sha256, find(pair).sha256}) == 3


def test_a_name_may_end_in_a_strength(pair: Path) -> None:
    given = find(f"{pair}@0.25")
    assert (given.name, given.sha256) == ("mine@0.25", find(pair, 0.25).sha256)
    assert find(f"{pair}@0").name == "prosr-xs"
    assert find(f"{pair}@1").sha256 == find(pair).sha256
    with pytest.raises(ConfigError, match=r"no model is called 'prosr-xs@half'"):
        find("prosr-xs@half")


def test_another_partner_is_refused_by_its_name(pair: Path) -> None:
    plain = layout("prosr-xs")
    save_weights(pair.with_name("prosr-xs.safetensors"), build(plain), {})
    with pytest.raises(CheckpointError, match=r"mine was trained from prosr-xs with parameters"):
        find(pair, 0.5)
    pair.with_name("prosr-xs.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"mine was trained from prosr-xs with parameters"):
        find(pair, 0.5)  # the bundled one is another, too
    assert find(pair, 1).name == "mine"


def test_a_network_without_a_partner_has_one_strength() -> None:
    with pytest.raises(CheckpointError, match="prosr-xs has one strength only"):
        prosr.load("prosr-xs", strength=0.5)
    for strength in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="is not between 0 and 1"):
            prosr.load("prosr-xs", strength=strength)


def test_the_strength_reaches_the_picture(pair: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    given = [prosr.load(pair, strength=s).upscale(pixels, 2).astype(int) for s in (0, 0.5, 1)]
    assert not np.array_equal(given[0], given[1])
    assert not np.array_equal(given[1], given[2])
    reference = prosr.load(pair, strength=0.5, engine="torch").upscale(pixels, 2)
    assert np.abs(given[1] - reference).max() <= 3


@pytest.mark.parametrize(
    "partner", ["x", {}, {"model": "a\0b", "sha256": ""}, {"model": "../x", "sha256": "0"}]
)
def test_a_partner_that_nobody_could_find_is_refused(tmp_path: Path, partner: object) -> None:
    config = layout("progansr-xs")
    save_weights(tmp_path / "a.safetensors", build(config), {"partner": partner})
    with pytest.raises(CheckpointError, match=r"was trained from|partner has another type"):
        find(tmp_path / "a.safetensors", 0.5)


def test_a_partner_of_another_layout_is_refused(tmp_path: Path) -> None:
    config = layout("progansr-xs")
    card = {"partner": {"model": "bicubic", "sha256": ""}}
    save_weights(tmp_path / "a.safetensors", build(config), card)
    with pytest.raises(CheckpointError, match="have different layouts"):
        find(tmp_path / "a.safetensors", 0.5)


def test_an_exported_strength_does_not_take_the_cached_graphs_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    given = find_model("progansr-xs@0.7")
    file = tmp_path / "progansr-xs@0.7.safetensors"
    export_weights(find_weights("progansr-xs@0.7"), tmp_path)
    exported = find_model(file)
    assert (exported.name, exported.sha256) == (given.name, given.sha256)
    assert exported.scales == given.scales
    for graph in given.graphs.values():
        graph.unlink()
    with pytest.raises(CheckpointError, match="holds no graphs of progansr-xs; delete this folder"):
        find_model("progansr-xs@0.7")
