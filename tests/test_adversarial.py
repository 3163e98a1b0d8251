"""Training against a discriminator: one step, whole runs, and what ends them."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning_fabric import Fabric

from feature_files import write_distilled
from prosr.adversary import Adversarial
from prosr.checkpoint import load_state
from prosr.config import Recipe
from prosr.data.benchmarks import open_benchmark
from prosr.evaluation.protocol import find_protocol
from prosr.training.session import Job, Session, prepare
from test_training import go, nothing, pictures, states_are_equal

__all__ = ["pictures"]

FABRIC = Fabric(accelerator="cpu", devices=1, precision="32-true")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "model": "progansr-xs",
            "layout": {"features": 4, "growth": [2, 2, 2], "upsampled": [4, 4, 4]},
            "steps": 8,
            "batch": 4,
            "patch": [8, 4, 2],
            "clip": 1.0,
            "learning_rate": 1e-3,
            "log_every": 1,
            "validate_every": 4,
            "adversarial": {
                "discriminator": "progansr-xs",
                "layout": {"features": [4, 4, 4], "head": [4], "spectral": True},
                "features": "distilled",
                "file": str(write_distilled(tmp_path / "features.safetensors")),
                "pixel": 0.5,
                "sheet_every": 4,
            },
        }
    )


def adversarial_of(recipe: Recipe) -> Adversarial:
    assert recipe.adversarial is not None
    return recipe.adversarial


def job(pictures: Path, folder: Path, recipe: Recipe, start_from: Path | None = None) -> Job:
    return Job(
        recipe=recipe,
        data=[pictures],
        folder=folder,
        cache=pictures.parent / "cache",
        protocol=find_protocol("paper"),
        validation=open_benchmark(pictures).first(1),
        workers=0,
        start_from=start_from,
    )


def session(pictures: Path, folder: Path, recipe: Recipe) -> Session:
    return prepare(job(pictures, folder, recipe), nothing)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(
    pictures: Path, tmp_path: Path, recipe: Recipe, stop: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    watcher = go(session(pictures, whole, recipe))
    first = go(session(pictures, parts, recipe), until=stop)
    second = go(session(pictures, parts, recipe))
    assert first.losses + second.losses == watcher.losses
    assert states_are_equal(whole, parts)
    names = load_state(parts / "state.safetensors")[0].keys()
    assert {"discriminator", "discriminator_optimizer"} <= {name.split(".")[0] for name in names}
