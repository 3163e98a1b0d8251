"""Several processes train what one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feature_files import write_distilled

RECIPE = """\
model = "prosr-xs"
steps = 6
batch = 4
patch = [6, 4, 2]
learning_rate = 1e-3
log_every = 1
precision = "fp32"
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path


def train(work: Path, run: str, processes: int, *more: str) -> list[dict[str, float]]:
    words = ["train", str(work / "r.toml"), "--data", str(work / "pictures"), "--workers", "0"]
    words += ["--run", str(work / run), "--devices", str(processes), *more]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "prosr", *words]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=250)
    lines = (work / run / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def losses(log: list[dict[str, float]]) -> list[tuple[str, float]]:
    return [(key, value) for line in log for key, value in line.items() if key.startswith("loss")]


def test_two_processes_share_a_batch_and_exchange_checkpoints(work: Path) -> None:
    one, two = losses(train(work, "one", 1)), losses(train(work, "two", 2))
    assert len(one) == 6
    assert [key for key, _ in one] == [key for key, _ in two]
    assert [value for _, value in two] == pytest.approx([value for _, value in one], rel=1e-5)

    train(work, "mixed", 2, "--max-minutes", "0")
    mixed = losses(train(work, "mixed", 1))
    assert [key for key, _ in mixed] == [key for key, _ in one]
    assert [value for _, value in mixed] == pytest.approx([v for _, v in one], rel=1e-5)


def test_two_processes_train_against_one_discriminator(work: Path) -> None:
    features = write_distilled(work / "features.safetensors")
    text = RECIPE.replace('"prosr-xs"', '"progansr-xs"').replace("[6, 4, 2]", "[8, 4, 2]")
    text += f"""
    [adversarial]
    discriminator = "progansr-xs"
    layout = {{ spectral = true }}
    features = "distilled"
    file = '{features}'
    """
    (work / "r.toml").write_text(text)
    one, two = train(work, "one", 1), train(work, "two", 2)
    for key in ("loss", "d_real", "d_gradient", "share_pool4", "drift_r"):
        ours, theirs = (
            [value for line in log for name, value in line.items() if name.startswith(f"{key}_x")]
            for log in (one, two)
        )
        assert len(ours) == 6
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-4)
