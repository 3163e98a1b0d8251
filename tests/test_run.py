"""A run's folder: resuming from it, with all of the network's state."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from prosr.checkpoints.weights import load_state, save_state
from prosr.config import Recipe, Single
from prosr.errors import CheckpointError, ConfigError
from prosr.training.run import Run, open_run

NORMALIZED = Recipe(
    model="table1-block",
    layout={"features": 4, "growth": 2, "dcus": [2]},
    steps=9,
    schedule=Single(scale=4),
)


def opened(folder: Path, recipe: Recipe) -> Run:
    return open_run(folder, recipe, {}, torch.device("cpu"))


def test_a_recipe_without_a_newer_key_is_resumed(tmp_path: Path) -> None:
    recipe = Recipe(model="prosr-xs", steps=9)
    opened(tmp_path, recipe).save()
    tensors, header = load_state(tmp_path / "state.safetensors")
    progress = json.loads(header["progress"])
    del progress["recipe"]["layout"], progress["recipe"]["schedule"]["kind"]
    save_state(tmp_path / "state.safetensors", tensors, {"progress": json.dumps(progress)})
    opened(tmp_path, recipe)
    with pytest.raises(ConfigError, match=r"layout = {}, not {'features': 8}"):
        opened(tmp_path, recipe.model_copy(update={"layout": {"features": 8}}))


def test_statistics_of_batch_normalization_are_kept(tmp_path: Path) -> None:
    run = opened(tmp_path, NORMALIZED)
    run.net(torch.rand(2, 3, 4, 4), 4).sum().backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.save()
    again = opened(tmp_path, NORMALIZED)
    for ours, theirs in ((run.net, again.net), (run.average, again.average)):
        state = theirs.state_dict()
        assert any(name.endswith("running_mean") for name in state)
        assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


def test_a_run_trains_the_layout_of_its_recipe(tmp_path: Path) -> None:
    run = opened(tmp_path, NORMALIZED)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in run.net.modules()) == 4


def test_weights_that_are_not_there_leave_no_folder(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        open_run(tmp_path / "run", NORMALIZED, {}, torch.device("cpu"), nowhere)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_state_does_not_keep_its_folder(tmp_path: Path) -> None:
    other = NORMALIZED.model_copy(update={"batch": 3})
    opened(tmp_path, NORMALIZED)
    opened(tmp_path, other).save()
    with pytest.raises(ConfigError, match="batch = 3, not 16"):
        opened(tmp_path, NORMALIZED)
