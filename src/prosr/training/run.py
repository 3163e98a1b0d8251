"""The folder of a training run: its files, and resuming from them.

state.safetensors       everything that the next step depends on
best.safetensors        averaged weights with the best validation score so far
last.safetensors        averaged weights of the last save
log.jsonl, tensorboard/ losses, learning rate and scores
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from prosr.checkpoints.features import open_features
from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import (
    Weights,
    difference,
    fit,
    load_state,
    save_state,
    save_weights,
    shapes,
    weights_hash,
)
from prosr.config import Recipe
from prosr.errors import CheckpointError, ConfigError
from prosr.nets.build import build, build_discriminator
from prosr.nets.generator import Pyramid
from prosr.nets.network import Network
from prosr.scales import Scale
from prosr.training.adversarial import Adversary
from prosr.training.curriculum import stage_at
from prosr.training.muon import make_optimizer

STATE = "state.safetensors"

_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam stores for a parameter."""

_MAY_CHANGE: dict[str, Any] = {"adversarial": {"file"}, "precision": True}
"""The keys of a recipe that depend on the machine."""


_Count = Annotated[int, Field(ge=0, le=10**12)]


class RunProgress(BaseModel):
    """Progress of a run, stored with its state.

    `seconds` is the time of all steps, without validation. `best` is the number of scales and the
    mean PSNR of best.safetensors. `skipped` counts steps that diverged, `skipped_in_a_row` those
    since the last good step. `useless` counts, for each scale, the last consecutive steps with a
    useless discriminator. `validated` is the step of the last validation. `pretrained` are the
    scales that the first weights were trained at. `precision` is that of the last step, `pictures`
    a hash of the training pictures. A resumed run requires the same `recipe`, first weights
    (`start_from`) and feature network (`features`), which are compared by hash.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: _Count = 0
    seconds: float = 0.0
    best: tuple[_Count, float] = (0, 0.0)
    skipped: _Count = 0
    skipped_in_a_row: _Count = 0
    useless: dict[int, _Count] = Field(default_factory=dict)
    validated: _Count = 0
    pretrained: tuple[Scale, ...] = ()
    precision: str = ""
    pictures: str = ""
    recipe: Recipe | None = None
    start_from: str = ""
    features: str = ""


@dataclass
class Run:
    """A run's folder, its recipe, and everything in its state file.

    `first` are the weights that it started from, if any.
    """

    folder: Path
    recipe: Recipe
    net: Network
    average: Network
    optimizer: Optimizer
    card: dict[str, Any]
    first: Weights | None
    adversary: Adversary | None
    progress: RunProgress

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.recipe.steps

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that the last step could train."""
        return stage_at(max(self.progress.step - 1, 0), self.recipe).scales

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step, the discriminator's in proportion."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        if self.adversary is not None:
            own = self.adversary.settings.learning_rate
            for group in self.adversary.optimizer.param_groups:
                group["lr"] = own * rate / self.recipe.learning_rate

    def open_scales(self, scales: Sequence[Scale]) -> None:
        """Initialize scales that the curriculum opens, from the scale below (3.4).

        Pretrained scales keep their parameters.
        """
        for scale in scales:
            if scale not in self.progress.pretrained:
                for net in (self.net, self.average):
                    cast(Pyramid, net).open(scale)

    def save(self) -> None:
        """Write the state, then the averaged weights, each atomically.

        After a skipped step, do nothing: a resumed run would skip the same steps again.
        """
        if self.progress.skipped_in_a_row and not self.finished:
            return
        tensors: dict[str, Tensor] = {}
        for part, (net, optimizer) in self.parts().items():
            tensors |= {f"{part}.{name}": value for name, value in net.state_dict().items()}
            for name, parameter in net.named_parameters():
                for key, value in optimizer.state[parameter].items() if optimizer else ():
                    tensors[f"{part}/{key}.{name}"] = value
        save_state(self.folder / STATE, tensors, {"progress": self.progress.model_dump_json()})
        self.export("last")

    def keep_if_best(self, psnr: Mapping[Scale, float]) -> bool:
        """Export the averaged weights as best.safetensors if they are; more scales beat fewer.

        Runs with a discriminator have no best weights, because training lowers their PSNR.
        """
        score = (len(psnr), sum(psnr.values()) / len(psnr))
        if self.adversary is not None or score <= self.progress.best:
            return False
        self.progress.best = score
        self.export("best")
        return True

    def export(self, name: str) -> None:
        """Write the averaged weights as a weights file with a model card."""
        card = self.card | {
            "scales": sorted({*self.progress.pretrained, *self.scales}),
            "steps": self.progress.step,
            "hours": round(self.progress.seconds / 3600, 2),
        }
        save_weights(self.folder / f"{name}.safetensors", self.average, card)

    def parts(self) -> dict[str, tuple[nn.Module, Optimizer | None]]:
        """All trained networks with their optimizers, by their names in the state file."""
        parts: dict[str, tuple[nn.Module, Optimizer | None]] = {
            "net": (self.net, self.optimizer),
            "average": (self.average, None),
        }
        if self.adversary is not None:
            parts["discriminator"] = self.adversary.net, self.adversary.optimizer
        return parts


def open_run(
    folder: Path,
    recipe: Recipe,
    card: dict[str, Any],
    device: torch.device,
    start_from: Path | None = None,
) -> Run:
    """Start a run in `folder`, or resume the one there.

    A new run starts from the parameters of `start_from`, a model or weights file, if given.
    Scales that these were trained at (all, unless their card says otherwise) are not opened
    or blended in again. Raises `ConfigError` if the folder has the state of another recipe or
    other first weights, and `CheckpointError` if a file cannot be read.
    """
    first = find(start_from) if start_from is not None else None
    # A killed process leaves half-written files.
    for path in folder.glob(f".*.{'[0-9a-f]' * 8}.safetensors"):
        path.unlink(missing_ok=True)
    torch.manual_seed(recipe.seed)
    net, progress = build(recipe.net), RunProgress(recipe=recipe)
    _move(net, device)
    card = card | {"recipe": recipe.model_dump(mode="json", exclude=_MAY_CHANGE)}
    if first is not None:
        fit(net, first.net.state_dict(), str(start_from))
        progress.pretrained = tuple(first.card.get("scales", recipe.net.scales))
        progress.start_from = first.sha256[:16]
        card["started from"] = first.sha256
        hours = sum(first.card.get(key, 0.0) for key in ("hours", "hours before"))
        card["hours before"] = round(hours, 2)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimizer = make_optimizer(net, recipe)
    adversary = None
    if (settings := recipe.adversarial) is not None:
        judge = build_discriminator(settings.net)
        features = open_features(settings.features, settings.file)
        _move(judge, device)
        _move(features, device)
        its_optimizer = Adam(judge.parameters(), settings.learning_rate, betas=recipe.betas)
        adversary = Adversary(settings, judge, its_optimizer, features)
        card["features"] = weights_hash(features.state_dict())
        progress.features = card["features"][:16]
        if first is not None:
            itself = {"model": first.card.get("model", first.name), "sha256": first.sha256}
            card["partner"] = first.card.get("partner", itself)
    run = Run(folder, recipe, net, average, optimizer, card, first, adversary, progress)
    if (folder / STATE).exists():
        _restore(run)
    return run


def _move(net: nn.Module, device: torch.device) -> None:
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def stored_state(folder: Path) -> tuple[RunProgress, dict[str, Tensor]]:
    """Progress and tensors of the run in `folder`, or those of a new run if there is none.

    Raises `CheckpointError` if the state cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return RunProgress(), {}
    try:
        tensors, header = load_state(path)
        return RunProgress.model_validate_json(header.get("progress", "")), tensors
    except (CheckpointError, ValidationError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: cannot be resumed ({reason}); use another --run folder, with --start-from "
            f"{folder / 'last.safetensors'}"
        ) from error


def _restore(run: Run) -> None:
    """Load the state in the run's folder, or raise `ConfigError` if it is of another run."""
    (old, tensors), new = stored_state(run.folder), run.progress
    given = {"recipe", "start_from", "features"}
    before, now = (
        one.model_dump(mode="json", include=given, exclude={"recipe": _MAY_CHANGE})
        for one in (old, new)
    )
    for change in _changes(before, now):
        raise ConfigError(
            f"{run.folder} holds a run with {change}; give the same again or use another --run "
            "folder"
        )
    for part, (net, optimizer) in run.parts().items():
        source = f"{run.folder / STATE} ({part})"
        fit(net, _starting_with(f"{part}.", tensors), source)
        if optimizer:
            _restore_moments(optimizer, net, _starting_with(f"{part}/", tensors), source)
    run.progress = old


def _starting_with(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names have this prefix, by the rest of their names."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _restore_moments(
    optimizer: Optimizer, net: nn.Module, moments: Mapping[str, Tensor], source: str
) -> None:
    """Load the optimizer's saved state of the parameters that were trained.

    Raises `CheckpointError` if it stores other tensors.
    """
    names = {parameter: name for name, parameter in net.named_parameters()}
    trained = {name.partition(".")[2] for name in moments}
    wanted = {
        f"{key}.{names[parameter]}": (parameter, key)
        for group in optimizer.param_groups
        for parameter in group["params"]
        for key in (("momentum",) if group.get("orthogonal") else _ADAM)
        if names[parameter] in trained
    }
    expected = {n: () if key == "step" else tuple(p.shape) for n, (p, key) in wanted.items()}
    if problem := difference(shapes(moments), expected)[1]:
        raise CheckpointError(f"{source}: {problem}; use another --run folder")
    for name, (parameter, key) in wanted.items():
        # Adam keeps its step counts on the CPU, all else on the parameter's device.
        place = torch.zeros(()) if key == "step" else torch.empty_like(parameter)
        optimizer.state[parameter][key] = place.copy_(moments[name])


def _changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """The values that differ between two nested tables, with their dotted keys."""
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for name in now:
            yield from _changes(before[name], now[name], f"{key}.{name}".lstrip("."))
    elif before != now:
        yield f"{key} = {before!r}, not {now!r}"
