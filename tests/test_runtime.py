"""Pictures are enlarged without PyTorch, and it is named where only it can help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import prosr
from prosr.checkpoints.weights import save_weights
from prosr.layouts import ProSRConfig
from prosr.models import bundled_models
from prosr.nets.build import build

BLOCK = """
import sys
sys.modules |= dict.fromkeys(("torch", "onnx", "onnxruntime", "lightning_fabric"))
"""
"""Makes Python as if only the packages of `pip install prosr` were installed."""


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK + code],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_info_shows_all_but_costs_without_torch(tmp_path: Path) -> None:
    code = 'sys.argv = ["prosr", "info", sys.argv[1]]; from prosr import cli; cli.main()'
    for name in bundled_models():
        done = run(code.replace("sys.argv[1]", repr(name)), tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "protocol paper" in done.stdout and "GFLOP" not in done.stdout
    assert "508,625 parameters" in done.stdout and "trained on: [" in done.stdout


def test_pictures_are_enlarged_without_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (20, 30, 4), np.uint8)
    Image.fromarray(array[..., :3]).save(tmp_path / "rgb.png")
    Image.fromarray(array).save(tmp_path / "rgba.png")
    Image.fromarray(rng.integers(0, 65536, (20, 30), np.uint16)).save(tmp_path / "deep.png")
    code = """
import numpy, prosr
from prosr.models import bundled_models
for name in bundled_models():
    upscaler = prosr.load(name)
    for scale in (2, 4, 8):
        y = upscaler.upscale(numpy.zeros((9, 7, 3), numpy.uint8), scale)
        assert y.shape == (9 * scale, 7 * scale, 3)
    for picture in ("rgb", "rgba", "deep"):
        upscaler.upscale(f"{picture}.png", 2, output=f"{picture}-{name}.png")
prosr.load("progansr-xs@0.7", ensemble=True).upscale("rgb.png", 2)
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr
    for name in bundled_models():
        upscaler = prosr.load(name)
        for picture, mode in (("rgb", "RGB"), ("rgba", "RGBA"), ("deep", "I;16")):
            with Image.open(tmp_path / f"{picture}-{name}.png") as enlarged:
                assert (enlarged.size, enlarged.mode) == ((60, 40), mode)
                result = np.asarray(enlarged)
            with Image.open(tmp_path / f"{picture}.png") as image:
                assert np.array_equal(result, upscaler.upscale(np.asarray(image), 2))


def test_the_command_enlarges_a_picture_without_torch(tmp_path: Path) -> None:
    Image.new("RGB", (9, 7), "orange").save(tmp_path / "a.png")
    code = "sys.argv = ['prosr', 'upscale', 'a.png', '--scale', '2']; from prosr.cli import main; "
    done = run(code + "main()", tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a_x2.png") as enlarged:
        assert enlarged.size == (18, 14)


def test_a_users_weights_run_without_torch_once_they_are_exported(tmp_path: Path) -> None:
    layout = ProSRConfig(features=4, growth=(2,), dcus=((1,),))
    torch.manual_seed(0)
    save_weights(tmp_path / "mine.safetensors", build(layout), {})
    code = """
import numpy, prosr
try:
    upscaler = prosr.load("mine.safetensors")
except prosr.ProSRError as error:
    sys.exit(str(error))
sys.exit(str(upscaler.upscale(numpy.full((4, 4), 99, numpy.uint8), 2).mean()))
"""
    cache = str(tmp_path / "cache")
    refused = run(code, tmp_path, PROSR_CACHE=cache).stderr.strip()
    assert refused == (
        "mine.safetensors: must be exported once, which needs torch and onnx; "
        "run: pip install 'prosr[train]'"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSR_CACHE", cache)
        upscaler = prosr.load(tmp_path / "mine.safetensors")
    expected = upscaler.upscale(np.full((4, 4), 99, np.uint8), 2).mean()
    assert float(run(code, tmp_path, PROSR_CACHE=cache).stderr) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("'other.pth'", "other.pth: must be exported once, which needs torch and onnx; "),
        ("'prosr-xs', engine='torch'", "engine torch is not installed; "),
    ],
)
def test_torch_is_named_with_its_extra(call: str, message: str, tmp_path: Path) -> None:
    code = f"""
import prosr
try:
    prosr.load({call})
except prosr.ProSRError as error:
    sys.exit(str(error))
"""
    assert run(code, tmp_path).stderr.strip() == f"{message}run: pip install 'prosr[train]'"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems find homes otherwise")
@pytest.mark.parametrize("home", [None, "relative", "/proc/none"])
def test_bundled_models_need_no_home(tmp_path: Path, home: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "PROSR_CACHE")}
    environment |= {"HOME": home} if home else {}
    code = """
import os, pwd

def unknown(user):
    raise KeyError(user)

pwd.getpwuid = unknown
import numpy, prosr
prosr.load("progansr-xs@0.5").upscale(numpy.zeros((4, 4), numpy.uint8), 2)
assert os.listdir() == []
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems find homes otherwise")
def test_enlarging_writes_nothing_into_the_home(tmp_path: Path) -> None:
    code = "import numpy, prosr; prosr.load('prosr-xs').upscale(numpy.zeros((4, 4)), 2)"
    done = run(code, tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
