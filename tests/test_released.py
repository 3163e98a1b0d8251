"""Released ProSR networks: names, options and results agree; other files are refused."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

import fake_release
import prosr
from prosr.checkpoints import released
from prosr.checkpoints.finding import adapt, read_foreign
from prosr.checkpoints.weights import save_weights
from prosr.config import preset
from prosr.data.benchmarks import open_benchmark
from prosr.errors import CheckpointError
from prosr.evaluation.protocol import PROTOCOLS
from prosr.evaluation.scoring import score
from prosr.layouts import ProSRConfig
from prosr.nets.blocks import MEAN_RGB
from prosr.nets.generator import ProSR

S = fake_release.layout_of(
    {
        "num_init_features": 24,
        "bn_size": 4,
        "growth_rate": 12,
        "level_config": [[6] * 4, [6] * 2, [6]],
        "level_compression": 0.5,
        "block_compression": 0.4,
        "residual_denseblock": False,
        "res_factor": 1.0,
        "max_num_feature": 312,
        "ps_woReLU": False,
        "max_scale": 8,
    }
)
BOTH = pytest.mark.parametrize("zipped", [False, True], ids=["stream", "zip"])


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("case", ["tiny_plain", "tiny_plain_capped", "tiny_residual"])
def test_golden_residuals_are_reproduced(prosr_data: Path, case: str, scale: int) -> None:
    file = prosr_data / "released" / f"{case}.safetensors"
    with safe_open(file, framework="pt") as stored:
        config = fake_release.layout_of(json.loads(stored.metadata()["config"]))
        # The file has keys() and cannot be iterated.
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    prefix = "weights."
    weights = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    rename = partial(released.released_name, layout=config)
    net = adapt(file, (case, config, weights, rename, "")).net
    assert isinstance(net, ProSR)
    # The stored input is already 255·(x − mean), the residual in 0…255.
    x = tensors["input"] / 255 + torch.tensor(MEAN_RGB).view(1, 3, 1, 1)
    with torch.no_grad():
        residual = net.residual(x, scale) * 255
    expected = tensors[f"residual_x{scale}"]
    error = (residual - expected).abs().max() / (expected.max() - expected.min())
    assert error < 1e-4, f"largest error {error:.1e} of the range"


@pytest.mark.parametrize(
    ("name", "file", "parameters"),
    [
        ("prosr-l", "prosr_keys.json", 15_537_609),
        ("prosr-s-2018", "prosrs_keys.json", 2_550_191),
    ],
)
def test_released_names_and_shapes_follow_from_the_preset(
    prosr_data: Path, name: str, file: str, parameters: int
) -> None:
    keys = json.loads((prosr_data / "released" / file).read_text(encoding="utf-8"))
    expected = {key: tuple(shape) for key, shape in keys.items()}
    assert fake_release.released_shapes(layout(name)) == expected
    assert released.recognise(expected) == (name, preset(name))
    assert sum(torch.Size(shape).numel() for shape in expected.values()) == parameters


def layout(name: str) -> ProSRConfig:
    config = preset(name)
    assert isinstance(config, ProSRConfig)
    return config


def test_every_tensor_has_its_own_released_name() -> None:
    for name in released.RELEASED:
        assert len(fake_release.released_shapes(layout(name))) == {"prosr-l": 455}.get(name, 198)


def test_released_options_give_the_preset() -> None:
    preset_s = layout("prosr-s-2018")
    assert preset_s == S.model_copy(update={"residual_scale": preset_s.residual_scale})


@BOTH
def test_a_released_file_is_read_exactly(zipped: bool, tmp_path: Path) -> None:
    weights = fake_release.weights(S)
    path = fake_release.save(tmp_path / "proSRs.pth", weights, zipped=zipped, options={})
    found = read_foreign(path)
    assert (found.name, len(found.net.state_dict())) == ("prosr-s-2018", 198)
    for name, value in found.net.state_dict().items():
        assert torch.equal(value, weights[released.released_name(name, S)]), name


@pytest.mark.parametrize(("name", "scales"), [("prosr-s-2018-x2", (2,)), ("prosr-l-x4", (2, 4))])
def test_a_file_of_the_first_levels_is_recognised(
    name: str, scales: tuple[int, ...], tmp_path: Path
) -> None:
    whole = layout(name[:-3])
    levels = len(scales)
    first = whole.model_copy(update={"dcus": whole.dcus[:levels], "growth": whole.growth[:levels]})
    weights = fake_release.weights(first)
    assert (
        fake_release.released_shapes(first).items() <= fake_release.released_shapes(whole).items()
    )
    found = read_foreign(fake_release.save(tmp_path / "a.pth", weights, zipped=True))
    assert (found.name, found.net.scales) == (name, scales)


def test_the_large_model_is_recognised(tmp_path: Path) -> None:
    weights = {
        name: torch.zeros(shape, dtype=torch.float16)
        for name, shape in fake_release.released_shapes(layout("prosr-l")).items()
    }
    found = read_foreign(fake_release.save(tmp_path / "a.pth", weights, zipped=False))
    assert found.name == "prosr-l"
    assert {value.dtype for value in found.net.state_dict().values()} == {torch.float32}


@pytest.mark.slow
def test_the_authors_own_weights_score_as_measured(prosr_data: Path, tmp_path: Path) -> None:
    found = read_foreign(prosr_data / "released" / "proSRs_x2.pth")
    assert (found.name, len(found.net.state_dict())) == ("prosr-s-2018-x2", 107)
    save_weights(tmp_path / "x2.safetensors", found.net, found.card)
    upscaler = prosr.load(tmp_path / "x2.safetensors", engine="torch")
    for name, psnr in (("Set5", 37.84), ("Set14", 33.45)):
        benchmark = open_benchmark(prosr_data / "benchmarks" / name)
        row = score(upscaler, benchmark, 2, PROTOCOLS["paper"], psnr_only=True)
        assert row.psnr == pytest.approx(psnr, abs=0.006), name


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    return dict(fake_release.weights(S))


def read(path: Path, weights: Any, **options: Any) -> str:
    """Return the message with which a file of these weights is refused."""
    fake_release.save(path, weights, zipped=True, options=options)
    with pytest.raises(CheckpointError) as refused:
        read_foreign(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_the_prefix_of_data_parallel_is_removed(small: dict[str, Tensor], tmp_path: Path) -> None:
    prefixed = {f"module.{name}": value for name, value in small.items()}
    path = fake_release.save(tmp_path / "a.pth", prefixed, zipped=True, options={})
    assert read_foreign(path).name == "prosr-s-2018"


def test_a_bare_state_dict_is_read(small: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(small, tmp_path / "a.pth")
    assert read_foreign(tmp_path / "a.pth").name == "prosr-s-2018"


def test_a_refusal_describes_the_difference_from_the_nearest_model(
    small: dict[str, Tensor], tmp_path: Path
) -> None:
    changed = dict(small)
    lost = "reconst_2.final_conv.conv.1.bias"
    del changed[lost]
    changed["extra\n.weight"] = torch.zeros(1)
    changed["init_conv_1.conv.1.weight"] = torch.zeros(24, 3, 5, 5)
    message = read(tmp_path / "a.pth", changed)
    assert "neither prosr-l nor prosr-s-2018; compared with prosr-s-2018, " in message
    assert "has shape 24×3×5×5 instead of 24×3×3×3, and 2 more of 198 tensors differ" in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "does not hold a dict"),
        ({"state_dict": {}}, "no state_dict"),
        ({"state_dict": 3}, "no state_dict"),
        ({"epoch": 3}, "epoch, which is no tensor"),
        ({"state_dict": {"a": 1.0}}, "a, which is no tensor"),
    ],
)
def test_a_file_without_a_state_dict_is_refused(
    content: object, problem: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=problem):
        read_foreign(tmp_path / "a.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(
    value: float, small: dict[str, Tensor], tmp_path: Path
) -> None:
    name = "init_conv_3.conv.1.bias"
    broken = small | {name: torch.full((24,), value)}
    assert f"{name} holds values that are not finite" in read(tmp_path / "a.pth", broken)


def test_integer_weights_are_refused(small: dict[str, Tensor], tmp_path: Path) -> None:
    name = "init_conv_3.conv.1.bias"
    broken = small | {name: torch.zeros(24, dtype=torch.int64)}
    assert f"{name} is stored as int64" in read(tmp_path / "a.pth", broken)


def test_an_option_that_changes_the_function_but_no_shape_is_refused(
    small: dict[str, Tensor], tmp_path: Path
) -> None:
    assert "ps_woReLU" in read(tmp_path / "a.pth", small, ps_woReLU=True)
    large = {n: torch.zeros(s) for n, s in fake_release.released_shapes(layout("prosr-l")).items()}
    assert "res_factor is not 0.2" in read(tmp_path / "b.pth", large, res_factor=0.1)


def test_the_card_names_the_origin(small: dict[str, Tensor], tmp_path: Path) -> None:
    path = fake_release.save(tmp_path / "a.pth", small, zipped=True, options={})
    card = read_foreign(path).card
    assert card["origin"] == "converted from a.pth, released by the authors of ProSR"
    assert card["source sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "not this package's" in card["licence"]
