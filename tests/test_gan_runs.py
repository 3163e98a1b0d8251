"""Resuming adversarial runs, and the files that they need."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from skimage import data

import prosr
from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import save_weights
from prosr.config import Adversarial, Recipe
from prosr.errors import ConfigError
from prosr.evaluation.metrics import psnr
from prosr.nets.build import build
from prosr.resample import imresize_uint8
from prosr.training import loop
from prosr.training.objectives import DivergedError
from prosr.training.session import TrainingJob, prepare
from test_adversarial import adversarial_of, recipe
from test_training import pictures
from tiny_runs import go, job, nothing, session

__all__ = ["pictures", "recipe"]


def beginning(pictures: Path, folder: Path, recipe: Recipe, seed: int) -> TrainingJob:
    """A run that starts from a random network with this seed."""
    torch.manual_seed(seed)
    path = folder.with_name(f"first-{seed}.safetensors")
    save_weights(path, build(recipe.net), {})
    return replace(job(pictures, folder, recipe), start_from=path)


def test_a_run_does_not_resume_with_other_first_weights(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    folder = tmp_path / "run"
    first = beginning(pictures, folder, recipe, 1)
    go(prepare(first, nothing), until=2)
    before = (folder / "last.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"start_from = .*, not .*give the same"):
        prepare(beginning(pictures, folder, recipe, 2), nothing)
    assert (folder / "last.safetensors").read_bytes() == before
    go(prepare(first, nothing), until=3)


def test_features_may_move_but_not_change(pictures: Path, tmp_path: Path, recipe: Recipe) -> None:
    folder = tmp_path / "run"
    go(session(pictures, folder, recipe), until=2)
    moved, other = tmp_path / "moved.safetensors", tmp_path / "other.safetensors"
    shutil.copy(adversarial_of(recipe).file, moved)
    tensors = load_file(moved)
    save_file({name: value + 0.01 for name, value in tensors.items()}, other)

    def reading(path: Path) -> Recipe:
        settings = adversarial_of(recipe).model_copy(update={"file": path})
        return recipe.model_copy(update={"adversarial": settings})

    with pytest.raises(ConfigError, match="with features = "):
        session(pictures, folder, reading(other))
    go(session(pictures, folder, reading(moved)), until=3)
    assert len(find(folder / "last.safetensors").card["features"]) == 64


def test_the_differing_key_of_a_nested_table_is_named(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    go(session(pictures, tmp_path / "run", recipe), until=1)
    settings = adversarial_of(recipe).model_copy(update={"gan": (0.3,) * 3})
    changed = recipe.model_copy(update={"adversarial": settings})
    with pytest.raises(ConfigError, match=r"recipe\.adversarial\.gan = .1\.0, .*, not .0\.3,"):
        session(pictures, tmp_path / "run", changed)


def test_a_collapse_at_one_scale_ends_the_run_and_is_in_the_log(
    pictures: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "is_useful", lambda result: result.scale != 4)
    patient = adversarial_of(recipe).model_copy(update={"collapse_after": 2})
    update = {"adversarial": patient, "steps": 60, "log_every": 50, "validate_every": 1000}
    made = session(pictures, tmp_path / "run", recipe.model_copy(update=update))
    with pytest.raises(DivergedError, match="for 2 steps of ×4"):
        go(made)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == made.run.progress.step
    assert "d_real_x4" in json.loads(lines[-1])


def test_a_run_whose_steps_all_diverge_is_not_finished(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    made = prepare(replace(job(pictures, tmp_path / "run", recipe), skip_nonfinite=True), nothing)
    with torch.no_grad():
        next(made.run.net.parameters()).fill_(float("nan"))
    with pytest.raises(prosr.ProSRError, match="step 8"):
        go(made)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"gan": 0, "perceptual": [0, 0], "distance": 0, "pixel": 0, "grid": 0}, "every term"),
        ({"perceptual": [-1, 0]}, "perceptual"),
        ({"gan": float("inf")}, "gan"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"layers": [float("nan"), 1, 1, 1, 1]}, "layers"),
    ],
)
def test_impossible_weights_of_terms_are_refused(
    recipe: Recipe, change: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        Adversarial.model_validate(adversarial_of(recipe).model_dump() | change)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_bundled_network_keeps_colours_and_agrees_with_its_input(scale: int) -> None:
    whole: NDArray[np.uint8] = data.coffee()  # type: ignore[no-untyped-call]
    x = imresize_uint8(whole[:256, 100:356], scale)
    y_hat = np.asarray(prosr.load("progansr-xs", engine="torch").upscale(x, scale))
    assert np.abs(y_hat.mean(axis=(0, 1)) - x.mean(axis=(0, 1))).max() < 1
    assert psnr(imresize_uint8(y_hat, scale), x, data_range=255) > 40
    plain = np.asarray(prosr.load("prosr-xs", engine="torch").upscale(x, scale))
    weaker = prosr.load("progansr-xs", strength=0.3, engine="torch")
    distance = [
        np.abs(np.asarray(some).astype(float) - plain).mean()
        for some in (plain, weaker.upscale(x, scale), y_hat)
    ]
    assert distance == sorted(distance)
    assert distance[2] > 1
