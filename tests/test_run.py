"""A run's folder: resuming from it, with all of the network's state."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

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


@pytest.mark.parametrize(
    ("muon", "change", "complaint"),
    [
        (None, {"net/exp_avg.": None}, "exp_avg.* has shape none instead of"),
        (None, {"net/step.": None}, "step.* has shape none instead of a scalar"),
        (None, {"net/exp_avg.": torch.zeros(())}, "exp_avg.* has shape a scalar instead of"),
        (None, {"net/momentum.": torch.zeros(3)}, "momentum.* has shape 3 instead of none"),
        (0.02, {"net/momentum.": torch.zeros(3)}, "momentum.v.bias has shape 3 instead of none"),
        (
            None,
            {"net/exp_avg.a stranger": torch.zeros(3)},
            "a stranger has shape 3",
        ),
    ],
)
def test_a_state_with_other_tensors_of_the_optimizer_is_refused(
    tmp_path: Path, muon: float | None, change: dict[str, Tensor | None], complaint: str
) -> None:
    recipe = NORMALIZED.model_copy(update={"muon": muon})
    run = opened(tmp_path, recipe)
    run.net(torch.rand(2, 3, 4, 4), 4).sum().backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.save()
    opened(tmp_path, recipe)
    path = tmp_path / "state.safetensors"
    tensors, header = load_state(path)
    for start, value in change.items():
        some = next((name for name in tensors if name.startswith(start)), start)
        name = some if value is None or some.startswith("net/exp_avg.") else f"{start}v.bias"
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value
    save_state(path, tensors, {"progress": header["progress"]})
    with pytest.raises(CheckpointError, match=complaint):
        opened(tmp_path, recipe)
