"""The wheel works by itself, without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_the_package_and_nothing_else(unpacked: Path) -> None:
    (info,) = unpacked.glob("prosr-*.dist-info")
    assert {path.name for path in unpacked.iterdir()} == {"prosr", info.name}
    source = ROOT / "src" / "prosr"
    ours = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    shipped = unpacked / "prosr"
    assert {path.relative_to(shipped) for path in shipped.rglob("*") if path.is_file()} == {
        path for path in ours if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("name", ["prosr-xs", "progansr-xs", "bicubic"])
def test_the_wheel_carries_the_models_with_their_graphs_and_cards(
    unpacked: Path, name: str
) -> None:
    weights = unpacked / "prosr" / "weights"
    assert all((weights / f"{name}.x{scale}.onnx").is_file() for scale in (2, 4, 8))
    if name != "bicubic":
        assert (weights / f"{name}.safetensors").is_file()
        assert (weights / f"{name}.md").is_file()


def test_the_wheel_enlarges_a_picture(unpacked: Path, tmp_path: Path) -> None:
    picture, output = tmp_path / "picture.png", tmp_path / "enlarged.png"
    Image.new("RGB", (9, 7), "orange").save(picture)
    code = "import prosr, sys; print(prosr.__file__); from prosr.cli import main; main()"
    words = ["upscale", str(picture), "--scale", "2", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(unpacked) in done.stdout
    with Image.open(output) as enlarged:
        assert enlarged.size == (18, 14)


def test_types_are_shipped(unpacked: Path) -> None:
    assert (unpacked / "prosr" / "py.typed").is_file()
