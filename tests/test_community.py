"""Networks of other projects: recognised, measured, tiled, or refused in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import prosr
from in_this_process import InThisProcess
from prosr import cli
from prosr.checkpoints.finding import find
from prosr.data.benchmarks import open_benchmark
from prosr.errors import CheckpointError, ConfigError
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.scoring import score
from prosr.inference.tiling import Block, tiled
from prosr.lab import models
from prosr.lab.outcome import ComparisonOutcome
from prosr.lab.reports import write_table_4
from prosr.lab.table_4 import Table4
from prosr.nets.cost import trace

RNG = np.random.default_rng(0)


class Stranger(nn.Sequential):
    """Three convolutions of 3×3 and an enlargement by 2: radius 3."""

    def __init__(self) -> None:
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)]
        super().__init__(*layers, nn.Conv2d(8, 12, 3, padding=1), nn.PixelShuffle(2), nn.Sigmoid())


class Descriptor:
    """What spandrel gives for a file that it knows."""

    def __init__(self, model: nn.Module, **differing: Any) -> None:
        self.model, self.scale, self.input_channels, self.output_channels = model, 2, 3, 3
        self.architecture = SimpleNamespace(name="Stranger")
        self.size_requirements = SimpleNamespace(multiple_of=1, square=False)
        vars(self).update(differing)

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.model(x)
        return y


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A stand-in: spandrel needs a torchvision that was built for the PyTorch beside it."""

    def load_from_state_dict(state: dict[str, Tensor]) -> Descriptor:
        net = Stranger()
        net.load_state_dict(state)
        return Descriptor(net, **differing)

    differing: dict[str, Any] = {}
    loader = SimpleNamespace(load_from_state_dict=load_from_state_dict)
    module = ModuleType("spandrel")
    module.__dict__.update(
        ModelLoader=lambda: loader,
        canonicalize_state_dict=lambda state: state.get("params", state),
        ImageModelDescriptor=Descriptor,
    )
    monkeypatch.setitem(sys.modules, "spandrel", module)
    return SimpleNamespace(differing=differing)


@pytest.mark.usefixtures("spandrel")
def test_a_safetensors_file_of_another_project_needs_no_conversion(
    tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.SafeTensors"
    save_file(torch.load(path)["params"], other, metadata={"format": "pt"})
    x = RNG.random((9, 7, 3), np.float32)
    assert np.array_equal(prosr.load(other).upscale(x, 2), prosr.load(path).upscale(x, 2))
    sys.argv = ["prosr", "convert", str(other), str(tmp_path / "new.safetensors")]
    with pytest.raises(SystemExit):
        cli.main()
    assert "needs no conversion; give it as --model" in capsys.readouterr().err
    for name in (f"{other}@0.5", f"{path}@0.5"):
        with pytest.raises(CheckpointError, match="or without a strength"):
            prosr.load(name)


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.fill_(torch.nan), r" 2\.weight holds values that are not finite"),
        (lambda t: t.long(), r"2\.weight is stored as int64; get a copy in float32"),
        (lambda t: t.to(torch.int8), "stored as int8"),
        (lambda t: t.bool(), "stored as bool"),
        (lambda t: t.to(torch.complex64), "stored as complex64"),
        (lambda t: t.to(torch.float8_e4m3fn), "float8.*; get a copy in float32"),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_values_that_are_no_weights_are_refused_by_name(
    suffix: str, change: Callable[[Tensor], Tensor], complaint: str, tmp_path: Path
) -> None:
    state = Stranger().state_dict() | {"2.weight": change(Stranger().state_dict()["2.weight"])}
    path = tmp_path / f"n{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    with pytest.raises(CheckpointError, match=rf"^[^\n]*n{suffix}: cannot .*{complaint}"):
        prosr.load(path)


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_types_are_read_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {name: value.to(dtype) for name, value in Stranger().state_dict().items()}
    torch.save(state, tmp_path / "n.pth")
    found = find(tmp_path / "n.pth").net.state_dict()
    assert all(torch.equal(found[f"net.{name}"], value.float()) for name, value in state.items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save({"params": Stranger().state_dict()}, tmp_path / "stranger.pth")
    return tmp_path / "stranger.pth"


@pytest.mark.usefixtures("spandrel")
def test_a_community_network_gives_the_same_result_in_tiles(path: Path) -> None:
    upscaler = prosr.load(path, engine="torch")
    assert (upscaler.name, upscaler.work.computed_by) == ("stranger", "torch fp32")
    x = RNG.random((40, 30, 3), np.float32)
    net = Stranger()
    net.load_state_dict(torch.load(path)["params"])

    def enlarge(block: Block, _: int) -> Block:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(block)))

    z = x.transpose(2, 0, 1)[None]
    expected, radius = enlarge(z, 2), trace(find(path).net, 2).radius
    assert np.abs(upscaler.upscale(x, 2) - expected[0].transpose(1, 2, 0)).max() < 1e-6
    assert np.abs(tiled(enlarge, z, 2, (16, 12), radius) - expected).max() < 1e-6
    with pytest.raises(ConfigError, match="scale 4"):
        find(path).net(torch.from_numpy(z), 4)


@pytest.mark.parametrize(
    ("differing", "complaint"),
    [
        ({"scale": 3}, "does not enlarge RGB pictures by 2, 4 or 8"),
        ({"input_channels": 1}, "does not enlarge RGB pictures by 2, 4 or 8"),
        ({"size_requirements": SimpleNamespace(multiple_of=8, square=False)}, "windows of 8"),
    ],
)
def test_an_unsuitable_network_is_refused(
    spandrel: SimpleNamespace, path: Path, differing: dict[str, Any], complaint: str
) -> None:
    spandrel.differing.update(differing)
    with pytest.raises(CheckpointError, match=complaint):
        prosr.load(path)


@pytest.mark.usefixtures("spandrel")
def test_a_file_without_a_network_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"stranger": torch.zeros(1)}, tmp_path / "other.pth")
    torch.save(Stranger(), tmp_path / "pickled.pth")
    for name in ("text.pth", "other.pth", "pickled.pth"):
        with pytest.raises(CheckpointError, match=f"^[^\n]*{name}: cannot be used; [^\n]*$"):
            prosr.load(tmp_path / name)


@pytest.mark.usefixtures("spandrel")
def test_info_shows_the_architecture(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv = ["prosr", "info", str(path)]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert "architecture = Stranger" in capsys.readouterr().out


def test_a_broken_spandrel_is_reported_in_one_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(CheckpointError, match=r"pip install 'prosr\[spandrel\]'"):
        prosr.load(path)
    monkeypatch.delitem(sys.modules, "spandrel")
    for code in ("import no_torchvision", "raise RuntimeError('operator nms does not exist')"):
        (tmp_path / "spandrel.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(CheckpointError, match=r"torchvision that belongs .* \(.*no.*\)"):
            prosr.load(path)


@pytest.mark.usefixtures("spandrel")
def test_its_file_gets_a_place_in_the_plot_of_quality_against_time(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "Isolated", InThisProcess)
    (timed,) = models.time_models([models.CASES[1]], [str(path)], "torch", 1, 0, lambda name: None)
    (tmp_path / "Set14").mkdir()
    picture = RNG.integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "Set14" / "a.png")
    benchmark, paper = open_benchmark(tmp_path / "Set14"), find_protocol("paper")
    scored = score(prosr.load(path, engine="torch"), benchmark, 2, paper)
    write_table_4(ComparisonOutcome((), ()), [scored], models.speeds([timed]), tmp_path)
    table = Table4.model_validate_json((tmp_path / "table-4.json").read_text())
    (line,) = (line for line in table.lines if line.system == path.stem)
    assert line.seconds == pytest.approx(timed.seconds / 1.0816, abs=1e-4)
    assert line.quality == {"released": scored.psnr}
    assert f"<!-- {path.stem} -->" in (tmp_path / "quality-time.svg").read_text()
