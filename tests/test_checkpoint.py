"""Weights files: reading returns what was written, and refuses all else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import load_state, save_state, save_weights, weights_hash
from prosr.config import PRESETS
from prosr.errors import CheckpointError, ConfigError
from prosr.inference.loading import load
from prosr.inference.memory import peak_memory
from prosr.layouts import DirectConfig, ProSRConfig
from prosr.models import WEIGHTS_FORMAT, bundled_models, find_weights, read_weights
from prosr.nets.build import build

TINY = ProSRConfig(features=4, growth=(2, 2, 2), dcus=((1,), (1,), (1,)))


def test_the_same_weights_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        net = build(PRESETS["srcnn"])
        for parameter in net.parameters():
            torch.nn.init.constant_(parameter, 0.5)
        save_weights(tmp_path / f"{name}.safetensors", net, {"model": "srcnn"})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert find(tmp_path / "a.safetensors").card == {"model": "srcnn"}


def test_round_trip_keeps_weights_layout_card_and_hash(tmp_path: Path) -> None:
    net, path = build(TINY), tmp_path / "n.safetensors"
    digest = save_weights(path, net, {"hours": 1.5})
    loaded = find(path)
    assert (loaded.net.layout, loaded.card, loaded.sha256) == (TINY, {"hours": 1.5}, digest)
    for name, value in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], value)
    assert not loaded.net.training


def test_hash_is_of_the_parameters_alone(tmp_path: Path) -> None:
    net = build(TINY)
    one = save_weights(tmp_path / "a.safetensors", net, {})
    two = save_weights(tmp_path / "b.safetensors", net, {"other": "card"})
    assert one == two == weights_hash(net.state_dict())
    with torch.no_grad():
        next(net.parameters()).flatten()[0] += 1e-6
    assert weights_hash(net.state_dict()) != one


def stored(path: Path, change: str) -> Path:
    tensors = dict(build(TINY).state_dict())
    first = next(iter(tensors))
    config = TINY.model_dump(mode="json")
    if change == "lacks":
        del tensors[first]
    elif change == "has extra":
        tensors["stranger"] = torch.zeros(1)
    elif change == "reshapes":
        tensors[first] = torch.zeros(1)
    elif change == "layout":
        config["stranger"] = 1
    elif change == "torch.int64":
        tensors[first] = torch.zeros_like(tensors[first], dtype=torch.int64)
    elif change == "torch.bool":
        tensors[first] = torch.zeros_like(tensors[first], dtype=torch.bool)
    form = "other" if change == "format" else WEIGHTS_FORMAT
    save_file(tensors, path, metadata={"format": form, "config": json.dumps(config)})
    return path


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("lacks", "has shape none instead of"),
        ("has extra", "instead of none"),
        ("reshapes", "has shape .* instead of"),
        ("layout", "header cannot be used .*unknown key"),
        ("format", "is neither prosr-l nor"),
        ("torch.int64", "torch.int64"),
        ("torch.bool", "stored as BOOL"),
    ],
)
def test_a_file_that_does_not_fit_its_layout_is_refused_by_name(
    tmp_path: Path, change: str, problem: str
) -> None:
    path = stored(tmp_path / "n.safetensors", change)
    with pytest.raises(CheckpointError, match=problem) as refusal:
        find(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_values_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    net, path = build(TINY), tmp_path / "n.safetensors"
    first = next(iter(net.state_dict()))
    net.state_dict()[first].view(-1)[0] = value
    save_weights(path, net, {})
    for read in (find, find_weights):
        with pytest.raises(
            CheckpointError, match=rf"n\.safetensors: {first} holds values that are"
        ):
            read(path)


def stored_as(dtype: torch.dtype, path: Path) -> dict[str, torch.Tensor]:
    """Write a weights file with values of another type; return these."""
    torch.manual_seed(0)
    state = {name: value.to(dtype) for name, value in build(TINY).state_dict().items()}
    header = {"format": WEIGHTS_FORMAT, "config": TINY.model_dump_json()}
    save_file(state, path, metadata=header)
    return state


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_floating_types_are_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "n.safetensors"
    state = stored_as(dtype, path)
    for name, value in find_weights(path).tensors.items():
        assert value.dtype == np.float32
        assert np.array_equal(value, state[name].float().numpy())
    x = np.random.default_rng(0).random((9, 8, 3), np.float32)
    with torch.no_grad():
        y = find(path).net(torch.from_numpy(x).permute(2, 0, 1)[None], 2)[0].permute(1, 2, 0)
    # The graph, which refers to a file of parameters, computes the same.
    assert np.abs(load(path, engine="onnx").upscale(x, 2) - y.clamp(0, 1).numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        *((torch.float8_e4m3fn, "F8_E4M3"), (torch.float8_e5m2, "F8_E5M2"), (torch.bool, "BOOL")),
        *((torch.complex64, "C64"), (torch.int8, "I8"), (torch.uint16, "U16")),
    ],
)
def test_other_types_are_refused_by_name(tmp_path: Path, dtype: torch.dtype, stored: str) -> None:
    stored_as(dtype, tmp_path / "n.safetensors")
    with pytest.raises(CheckpointError, match=rf"n\.safetensors: \S+ is stored as {stored}, which"):
        find_weights(tmp_path / "n.safetensors")


def test_the_counters_of_batch_norm_stay_integers(tmp_path: Path) -> None:
    layout = DirectConfig(scale=2, features=4, growth=2, dcus=(1,), batch_norm=True)
    path = tmp_path / "n.safetensors"
    save_weights(path, build(layout), {})
    kinds = {value.dtype.kind for value in read_weights(path).tensors.values()}
    assert kinds == {"f", "i"}
    assert load(path).upscale(np.zeros((4, 4), np.uint8), 2).shape == (8, 8)


HUGE, DEEP = "9" * 5000, '{"a":' * 5000 + "1" + "}" * 5000


@pytest.mark.parametrize(
    "changed",
    [
        *({"config": text} for text in ("", "[]", "[" * 100_000, '{"kind": ' + "9" * 300 + "}")),
        *({"config": TINY.model_dump_json().replace("255.0", text)} for text in (HUGE, "1e999")),
        *({"card": text} for text in ("[1]", DEEP, '{"a": NaN}', '{"a": -1e999}')),
        *({"card": f'{{"{key}": {HUGE}}}'} for key in ("steps", "hours")),
        *({"card": text} for text in ('{"hours": "1"}', '{"scales": [3]}', '{"partner": 5}')),
    ],
    ids=range(15),
)
def test_a_header_that_is_no_layout_or_card_is_refused(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    header = {"format": WEIGHTS_FORMAT, "config": TINY.model_dump_json(), **changed}
    save_file(build(TINY).state_dict(), tmp_path / "n.safetensors", metadata=header)
    with pytest.raises(CheckpointError, match="its header cannot be used") as refusal:
        find(tmp_path / "n.safetensors")
    assert len(str(refusal.value)) < 400 and "\n" not in str(refusal.value)


def test_a_layout_larger_than_its_file_takes_no_memory(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"features": 10_000, "growth": (10_000,) * len(TINY.growth)})
    header = {"format": WEIGHTS_FORMAT, "config": config.model_dump_json()}
    save_file(build(TINY).state_dict(), tmp_path / "n.safetensors", metadata=header)
    before = peak_memory() or 0
    with pytest.raises(CheckpointError, match="has shape"):
        find(tmp_path / "n.safetensors")
    assert (peak_memory() or 0) - before < 200_000_000


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.safetensors"
    path.write_bytes(content)
    for read in (find, find_weights):
        with pytest.raises(CheckpointError, match=r"n\.safetensors"):
            read(path)


def test_models_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    assert find("bicubic").sha256 == find_weights("bicubic").sha256 == ""
    save_weights(tmp_path / "mine.safetensors", build(TINY), {})
    for found in (find(tmp_path / "mine.safetensors"), find_weights(tmp_path / "mine.safetensors")):
        assert found.name == "mine"
    networks = {name + kind for name in ("prosr-xs", "progansr-xs") for kind in ("", "-real")}
    assert set(bundled_models()) == {"bicubic"} | networks
    for name in bundled_models():
        assert find(name).sha256 == find_weights(name).sha256


@pytest.mark.parametrize("search", [find, find_weights, load])
def test_names_that_nothing_has_are_refused(search: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="without weights; train it"):
        search("prosr-l")
    with pytest.raises(ConfigError, match="did you mean 'prosr-xs'"):
        search("prosr-xxs")
    with pytest.raises(ConfigError, match="no model is called 'xxx"):
        search("x" * 5000)
    with pytest.raises(CheckpointError, match="no such file"):
        search(tmp_path / "none.safetensors")
    (tmp_path / "a.txt").touch()
    for path in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(
            CheckpointError, match=r"not a weights file of prosr; give a \.safetensors"
        ):
            search(path)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"folder\.safetensors: not a readable"):
        search(tmp_path / "folder.safetensors")


def test_other_projects_files_are_found_in_torch(tmp_path: Path) -> None:
    for search in (find, load):
        with pytest.raises(CheckpointError, match=r"released\.pth: no such file"):
            search(tmp_path / "released.pth")


def test_training_state_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_state(path, {"a": torch.arange(3)}, {"step": "7"})
    tensors, header = load_state(path)
    assert torch.equal(tensors["a"], torch.arange(3))
    assert header["step"] == "7"
    with pytest.raises(CheckpointError, match="not of format prosr-weights-1"):
        find(path)


def test_presets_build() -> None:
    with torch.device("meta"):
        for config in PRESETS.values():
            build(config)


def test_others_may_read_what_is_written_as_with_any_file(tmp_path: Path) -> None:
    plain, stored = tmp_path / "plain", tmp_path / "n.safetensors"
    plain.write_text("")
    save_weights(stored, build(TINY), {})
    assert stored.stat().st_mode == plain.stat().st_mode
    save_state(tmp_path / "s.safetensors", {"a": torch.zeros(1)}, {})
    assert (tmp_path / "s.safetensors").stat().st_mode == plain.stat().st_mode
