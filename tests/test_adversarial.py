"""Adversarial training: one step, whole runs, and collapse."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from types import EllipsisType

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from feature_files import write_distilled
from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import load_state
from prosr.config import Adversarial, Recipe
from prosr.data.patches import Batch
from prosr.errors import CheckpointError, ConfigError
from prosr.nets.features import feature_distance
from prosr.resample.tensors import upscale
from prosr.training import loop
from prosr.training.adversarial import adversarial_step
from prosr.training.log import draw_samples
from prosr.training.losses import (
    adversarial_loss,
    discriminator_loss,
    grid_loss,
    perceptual_loss,
    pixel_loss,
)
from prosr.training.objectives import DivergedError, Learner, StepResult
from prosr.training.run import Run, open_run
from prosr.training.session import prepare
from test_training import pictures, states_are_equal
from tiny_runs import go, job, nothing, session

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
            "patch": [9, 5, 3],
            "clip": 1.0,
            "learning_rate": 1e-3,
            "log_every": 1,
            "validate_every": 4,
            "adversarial": {
                "discriminator": "progansr-xs",
                "layout": {"features": [4, 4, 4], "head": [4]},
                "turns": 2,
                "features": "distilled",
                "file": str(write_distilled(tmp_path / "features.safetensors")),
                "distance": 0.75,
                "pixel": 0.5,
                "grid": 0.25,
                "sheet_every": 4,
            },
        }
    )


def adversarial_of(recipe: Recipe) -> Adversarial:
    assert recipe.adversarial is not None
    return recipe.adversarial


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
    assert {"discriminator", "discriminator/exp_avg"} <= {name.split(".")[0] for name in names}


def made(folder: Path, recipe: Recipe) -> Run:
    return open_run(folder, recipe, {}, torch.device("cpu"))


def batch(scale: int = 4) -> Batch:
    rng = np.random.default_rng(1)
    x, y = (rng.integers(0, 256, (4, side, side, 3), np.uint8) for side in (6, 6 * scale))
    return Batch(0, scale, x, y, ("a.png",) * 4)


def unit(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def window(batch: Batch) -> tuple[EllipsisType, slice, slice]:
    """The crop of y in step 0: one pixel of x smaller, starting within the first."""
    corner = random.Random("window 0")
    top, left = corner.randrange(batch.scale), corner.randrange(batch.scale)
    side = batch.y.shape[1] - batch.scale
    return ..., slice(top, top + side), slice(left, left + side)


def step(run: Run, batch: Batch, alpha: float = 1.0) -> StepResult:
    adversary = run.adversary
    assert adversary is not None
    generator = Learner(FABRIC, *FABRIC.setup(run.net, run.optimizer))
    discriminator = Learner(FABRIC, *FABRIC.setup(adversary.net, adversary.optimizer))
    pretrained = batch.scale in run.progress.pretrained
    return adversarial_step(generator, discriminator, adversary, batch, alpha, pretrained)


def test_srgans_discriminator_judges_pictures_and_not_residuals(
    tmp_path: Path, recipe: Recipe
) -> None:
    settings = adversarial_of(recipe).model_dump() | {"discriminator": "srgan", "layout": {}}
    own = {"patch": [49, 25, 13], "adversarial": settings | {"turns": 1}}
    run = made(tmp_path, Recipe.model_validate(recipe.model_dump() | own))
    adversary = run.adversary
    assert adversary is not None
    adversary.net.eval()  # so that its statistics do not depend on the batch
    shown = np.random.default_rng(0).integers(0, 256, (2, 100, 100, 3), np.uint8)
    pair = Batch(0, 4, np.zeros((2, 25, 25, 3), np.uint8), shown, ("a.png",) * 2)
    with torch.no_grad():
        wanted = adversary.net(unit(shown)[window(pair)]).mean().item()
    assert step(run, pair).health["d_real"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("patch", "scale"), [([48, 25, 13], 2), ([49, 24, 13], 4)])
def test_patches_of_another_size_than_srgans_discriminator_judges_are_refused(
    recipe: Recipe, patch: list[int], scale: int
) -> None:
    settings = adversarial_of(recipe).model_dump() | {"discriminator": "srgan", "layout": {}}
    problem = f"patch: scale {scale} needs a patch of {96 // scale + 1}"
    with pytest.raises(ValueError, match=problem):
        Recipe.model_validate(recipe.model_dump() | {"patch": patch, "adversarial": settings})


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_the_generator_follows_eq4_and_the_discriminator_eq3(
    tmp_path: Path, recipe: Recipe, alpha: float
) -> None:
    one_turn = recipe.model_copy(
        update={"adversarial": adversarial_of(recipe).model_copy(update={"turns": 1})}
    )
    run, pairs = made(tmp_path, one_turn), batch()
    adversary = run.adversary
    assert adversary is not None
    # With tiny learning rates, the losses do not change during the step.
    for optimizer in (run.optimizer, adversary.optimizer):
        optimizer.param_groups[0]["lr"] = 1e-12
    adversary.net.eval()  # else the second call would continue the power iteration
    x, y = unit(pairs.x), unit(pairs.y)
    y_hat, y, phi = (z[window(pairs)] for z in (run.net(x, 4, alpha), y, upscale(x, 4)))
    fake, real = (adversary.net(r, 4, alpha) for r in (y_hat - phi, y - phi))
    ours, theirs = adversary.features(y_hat), adversary.features(y)
    terms = [
        adversarial_loss(fake),
        *(w * perceptual_loss(ours[k], theirs[k]) for w, k in zip((0.5, 2), (2, 4), strict=True)),
        0.75 * feature_distance([*ours.values()], [*theirs.values()]),
        0.5 * pixel_loss(y_hat, y),
        0.25 * grid_loss(y_hat, y, 4),
    ]
    result = step(run, pairs, alpha)
    assert result.loss == pytest.approx(sum(terms).item(), rel=1e-4)  # type: ignore[union-attr]
    shares = [value for name, value in result.health.items() if name.startswith("share_")]
    assert shares == pytest.approx([(term / sum(terms)).item() for term in terms], rel=1e-4)
    loss = discriminator_loss(fake, real).item()
    assert result.health["d_loss"] == pytest.approx(loss, rel=1e-4)
    assert result.health["d_real"] == pytest.approx(real.mean().item(), rel=1e-4)
    drift = 255 * (y_hat - y).mean(dim=(0, 2, 3))
    assert [result.health[f"drift_{c}"] for c in "rgb"] == pytest.approx(drift.tolist(), rel=1e-3)


def test_features_see_both_pictures_in_the_same_view_drawn_for_each_step(
    tmp_path: Path, recipe: Recipe
) -> None:
    views = {"adversarial": adversarial_of(recipe).model_copy(update={"views": True})}
    run, shown = made(tmp_path, recipe.model_copy(update=views)), list[torch.Tensor]()
    assert run.adversary is not None
    run.adversary.features.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    x, y = (np.full((4, side, side, 3), (0, 100, 255), np.uint8) for side in (16, 64))
    seen = set()
    for number in range(40):
        step(run, Batch(number, 4, x, y, ("a.png",) * 4))
        ours, theirs = shown[-2:]
        assert ours.shape == theirs.shape
        orders = [view.mean(dim=(0, 2, 3)).argsort().tolist() for view in (ours, theirs)]
        assert orders[0] == orders[1]
        seen.add((theirs.shape[-1], *orders[1]))
    assert {size for size, *_ in seen} == {40, 48, 60, 75, 90}
    assert len({tuple(order) for _, *order in seen}) == 6


def test_the_discriminator_learns_in_every_second_step_and_judges_in_each(
    tmp_path: Path, recipe: Recipe
) -> None:
    every = {"adversarial": adversarial_of(recipe).model_copy(update={"every": 2})}
    run = made(tmp_path, recipe.model_copy(update=every))
    assert run.adversary is not None
    gradients = []
    for number in range(4):
        before = [p.clone() for p in run.adversary.net.parameters()]
        health = step(run, replace(batch(), step=number)).health
        same = map(torch.equal, before, run.adversary.net.parameters())
        assert all(same) == (number % 2 == 1)
        gradients.append("d_gradient" in health)
        assert "d_real" in health
    assert gradients == [True, False] * 2


def test_residuals_are_judged_not_pictures(tmp_path: Path, recipe: Recipe) -> None:
    run, pairs = made(tmp_path, recipe), batch()
    assert run.adversary is not None
    seen: list[Tensor] = []
    run.adversary.net.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    step(run, pairs)
    *turns, last = seen
    assert len(turns) == 2
    r = (unit(pairs.y) - upscale(unit(pairs.x), 4))[window(pairs)]
    for i, both in enumerate(turns):
        torch.testing.assert_close(both[2:], r[i::2])
        torch.testing.assert_close(both[:2], last[i::2])


def test_both_networks_learn_and_the_features_do_not(tmp_path: Path, recipe: Recipe) -> None:
    run = made(tmp_path, recipe)
    assert run.adversary is not None
    parts = run.net, run.adversary.net, run.adversary.features
    before = [[p.clone() for p in part.parameters()] for part in parts]
    step(run, batch())
    changed = [
        any(not torch.equal(a, b) for a, b in zip(part.parameters(), old, strict=True))
        for part, old in zip(parts, before, strict=True)
    ]
    assert changed == [True, True, False]


def test_a_step_that_diverges_does_not_change_the_generator(tmp_path: Path, recipe: Recipe) -> None:
    run = made(tmp_path, recipe)
    assert run.adversary is not None
    run.adversary.features.register_forward_hook(
        lambda module, inputs, given: {k: z * float("nan") for k, z in given.items()}
    )
    before = [p.clone() for p in run.net.parameters()]
    with pytest.raises(DivergedError, match=r"step 1, scale 4: .*a\.png"):
        step(run, batch())
    assert all(torch.equal(a, b) for a, b in zip(run.net.parameters(), before, strict=True))


def test_a_useless_discriminator_ends_the_run(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    patient = adversarial_of(recipe).model_copy(
        update={
            "collapse_after": 3,
            "learning_rate": 1e-12,
            "layout": {"features": [4, 4, 4], "head": [4], "spectral": False},
        }
    )
    made = session(pictures, tmp_path / "run", recipe.model_copy(update={"adversarial": patient}))
    assert made.run.adversary is not None
    score = made.run.adversary.net.score
    assert isinstance(score, torch.nn.Module)
    with torch.no_grad():
        for value in score.parameters():
            value.zero_()
    with pytest.raises(DivergedError, match=r"step 4: .* 3 steps of ×2 \(D\(r\) 0\.00, D\(r̂\)"):
        go(made)


def test_the_count_of_useless_steps_is_resumed(
    pictures: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "is_useful", lambda result: False)
    patient = adversarial_of(recipe).model_copy(update={"collapse_after": 4})
    recipe = recipe.model_copy(update={"adversarial": patient})
    go(session(pictures, tmp_path / "run", recipe), until=3)
    with pytest.raises(DivergedError, match="step 5:"):
        go(session(pictures, tmp_path / "run", recipe))


def test_numbers_are_logged_and_samples_saved(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    go(session(pictures, tmp_path / "run", recipe))
    log = (tmp_path / "run" / "log.jsonl").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    first = next(line for line in lines if line["kind"] == "train")
    wanted = {"d_real", "d_fake", "d_gradient", "gradient", "share_gan", "share_pool2", "drift_g"}
    assert {f"{name}_x2" for name in wanted} <= first.keys()
    drawn = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert drawn == ["0000004.png", "0000008.png"]
    # The best PSNR is that of the generator before any adversarial training.
    assert not (tmp_path / "run" / "best.safetensors").exists()


def test_the_first_weights_are_the_partner_and_on_the_samples(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    plain = recipe.model_copy(update={"adversarial": None})
    go(session(pictures, tmp_path / "first", plain), until=1)
    start = tmp_path / "first" / "last.safetensors"
    second = replace(job(pictures, tmp_path / "second", recipe), start_from=start)
    made = prepare(second, nothing)
    go(made, until=1)
    weights = find(tmp_path / "second" / "last.safetensors")
    sha256 = find(start).sha256
    assert weights.card["partner"] == {"model": "progansr-xs", "sha256": sha256}
    assert "file" not in weights.card["recipe"]["adversarial"]
    assert second.validation is not None
    height, width, _ = draw_samples(made.run, second.validation, 2).shape
    assert width == 5 * height
    with pytest.raises(ConfigError, match=r"with start_from = .* give the same again"):
        session(pictures, tmp_path / "second", recipe)


def test_a_run_that_starts_from_a_gan_has_its_partner(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    plain = recipe.model_copy(update={"adversarial": None})
    go(session(pictures, tmp_path / "1", plain), until=1)
    for number in (1, 2):
        start = tmp_path / f"{number}" / "last.safetensors"
        following = job(pictures, tmp_path / f"{number + 1}", recipe)
        go(prepare(replace(following, start_from=start), nothing), until=1)
    first, third = (find(tmp_path / name / "last.safetensors") for name in "13")
    assert third.card["partner"]["sha256"] == first.sha256 != third.card["started from"]


def test_a_pretrained_generator_is_not_opened_or_blended_again(
    tmp_path: Path, recipe: Recipe
) -> None:
    run, pairs = made(tmp_path, recipe), batch()
    assert run.adversary is not None
    run.progress.pretrained = (2, 4, 8)
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    run.open_scales((4, 8))
    assert all(torch.equal(value, before[name]) for name, value in run.net.state_dict().items())
    seen: list[float] = []
    run.adversary.net.register_forward_hook(lambda module, inputs, _: seen.append(inputs[2]))
    difference = run.net(unit(pairs.x), 4) - unit(pairs.y)
    drift = 255 * difference[window(pairs)].mean(dim=(0, 2, 3))
    result = step(run, pairs, 0.3)
    assert seen == [0.3] * 3
    assert [result.health[f"drift_{c}"] for c in "rgb"] == pytest.approx(drift.tolist(), rel=1e-3)


def test_a_missing_feature_file_stops_before_training(
    pictures: Path, tmp_path: Path, recipe: Recipe
) -> None:
    absent = adversarial_of(recipe).model_copy(update={"file": tmp_path / "none.safetensors"})
    with pytest.raises(CheckpointError, match=r"none\.safetensors: there is no such file"):
        session(pictures, tmp_path / "run", recipe.model_copy(update={"adversarial": absent}))


@pytest.mark.parametrize("layers", [(1.0,) * 4, (0.0,) * 5])
def test_each_feature_layer_needs_a_weight(layers: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distilled has 5 layers; give a weight for each"):
        Adversarial(
            discriminator="progansr-xs", features="distilled", file=Path("f"), layers=layers
        )
