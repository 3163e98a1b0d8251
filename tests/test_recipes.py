"""The recipes that come with the package: all are valid, and the largest one runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feature_files import write_vgg16
from prosr.config import load_recipe, preset
from prosr.lab.plan import load_plan

RECIPES = Path(__file__).parents[1] / "recipes"
PLANS = {"ablation.toml", "gan-ablation.toml"}
OTHERS = {"compare.toml"}


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(RECIPES.rglob("*.toml")) if p.name not in PLANS | OTHERS],
    ids=lambda path: str(path.relative_to(RECIPES)),
)
def test_every_recipe_is_valid(path: Path) -> None:
    assert load_recipe(path).steps > 0


def test_the_gan_plans_cells_differ_in_their_schedule_only() -> None:
    plan = load_plan(RECIPES / "gan-ablation.toml")
    one, two = (plan.recipe_of(cell, 100, 0) for cell in ("curriculum", "simultaneous"))
    assert one.adversarial is not None
    assert one.schedule != two.schedule
    assert one.model_copy(update={"schedule": two.schedule}) == two


def test_progansr_xs_is_prosr_xs_with_back_projection() -> None:
    ours, theirs = preset("progansr-xs").model_dump(), preset("prosr-xs").model_dump()
    assert ours.pop("back_projections") > 0
    assert theirs.pop("back_projections") == 0
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_progansr_l_takes_ten_steps_in_five_gigabytes(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (208, 208, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    features = write_vgg16(tmp_path / "vgg.pth")
    words = ["train", str(RECIPES / "paper" / "progansr-l.toml"), "--data"]
    words += [str(tmp_path / "pictures"), "--run", str(tmp_path / "run"), "--workers", "0"]
    small = ("batch=2", "patch=[24, 18, 12]")
    for setting in ("steps=10", "log_every=1", f"adversarial.file={features}", *small):
        words += ["--set", setting]
    program = (
        "import resource, sys; from prosr.cli import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *words]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 11))
    gigabytes = int(done.stderr.split()[-1]) * 1024 / 1e9
    assert gigabytes < 5, gigabytes
