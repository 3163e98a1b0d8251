"""Plans of comparisons: cells, each a recipe that is trained with several seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from prosr.config import Recipe, read_table
from prosr.errors import ConfigError, suggestion
from prosr.layouts import Settings, validated

_NOT_IN_RECIPE = ("start_from", "sets")
"""Keys of a cell that its recipe does not have."""

CellName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class ComparisonPlan(Settings):
    """Cells that are trained with equal budgets, once for every seed.

    `recipe` holds the keys that all cells share; a cell's own keys override them. A cell whose
    recipe has `steps` is trained for these, other cells for as many as fit into `minutes`. A cell
    with `start_from` starts from the weights of an earlier cell. A cell with `sets` is scored only
    on these. Each run is validated `validations` times, on the first `validation_pictures` of the
    validation set.
    """

    minutes: float | None = Field(default=None, gt=0)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    validations: int = Field(default=10, gt=0)
    validation_pictures: int | None = Field(default=None, gt=0)
    recipe: dict[str, Any] = Field(default_factory=dict)
    cells: dict[CellName, dict[str, Any]] = Field(min_length=1)

    def steps(self, cell: str) -> int | None:
        """The steps that the plan states for a cell; None if they follow from `minutes`."""
        steps: int | None = (self.recipe | self.cells[cell]).get("steps")
        return steps

    def start_from(self, cell: str) -> str | None:
        """The cell whose run with the same seed provides a cell's initial weights, if any."""
        first: str | None = self.cells[cell].get("start_from")
        return first

    def is_scored_on(self, cell: str, name: str) -> bool:
        """Whether a cell is scored on the set called `name`."""
        return name in self.cells[cell].get("sets", [name])

    def recipe_of(self, cell: str, steps: int, seed: int) -> Recipe:
        """The complete recipe of one run."""
        own = {"steps": steps, "seed": seed, "validate_every": math.ceil(steps / self.validations)}
        theirs = {k: v for k, v in self.cells[cell].items() if k not in _NOT_IN_RECIPE}
        try:
            return validated(Recipe, self.recipe | theirs | own)
        except ConfigError as error:
            raise ConfigError(f"cells.{cell}: {error}") from error

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: a seed is repeated; write each once")
        earlier: list[str] = []
        for name, own in self.cells.items():
            if (first := own.get("start_from")) is not None and first not in earlier:
                near = suggestion(str(first), earlier)
                raise ValueError(f"cells.{name}: start_from must name an earlier cell{near}")
            sets = own.get("sets", [])
            if not isinstance(sets, list) or not all(isinstance(one, str) for one in sets):
                raise ValueError(f"cells.{name}: sets must be a list of names")
            earlier.append(name)
            for key, instead in (("seed", "seeds"), ("validate_every", "validations")):
                if key in self.recipe | own:
                    raise ValueError(f"cells.{name}: write the plan's {instead} instead of {key}")
            steps = self.steps(name)
            if not isinstance(steps, int | None):
                raise ValueError(f"cells.{name}: steps must be a whole number")
            if steps is None and self.minutes is None:
                raise ValueError(f"cells.{name} has no budget; give minutes, or steps in [recipe]")
            net = self.recipe_of(name, 1 if steps is None else steps, self.seeds[0]).net
            if first is not None and net != self.recipe_of(first, 1, self.seeds[0]).net:
                raise ValueError(f"cells.{name}: start_from names a cell with another network")
        return self


def load_plan(path: Path) -> ComparisonPlan:
    """Read a TOML plan, or raise `ConfigError` with the file, the cell and the key."""
    return validated(ComparisonPlan, read_table(path), str(path))
