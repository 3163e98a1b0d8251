"""What is to be compared: a plan's cells, each a recipe that is trained with several seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from prosr.config import Recipe, read_table, recipe_from
from prosr.errors import ConfigError, suggestion
from prosr.layouts import Settings, validated

_NO_RECIPE = ("start_from", "sets")
"""Keys of a cell that are not of its recipe."""

CellName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Plan(Settings):
    """Cells that are trained with equal budgets, each once for every seed.

    `recipe` is what all cells share, and a cell's own keys go before it. A cell whose recipe
    says `steps` has these; the others get as many as fit into `minutes`. A cell with
    `start_from` begins with what an earlier cell has learnt, one with `sets` is scored on
    these alone. Each run is validated `validations` times, on the first
    `validation_pictures` of the set.
    """

    minutes: float | None = Field(default=None, gt=0)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    validations: int = Field(default=10, gt=0)
    validation_pictures: int | None = Field(default=None, gt=0)
    recipe: dict[str, Any] = Field(default_factory=dict)
    cells: dict[CellName, dict[str, Any]] = Field(min_length=1)

    def steps(self, cell: str) -> int | None:
        """The steps that the plan itself gives to a cell; None where `minutes` decide."""
        steps: int | None = (self.recipe | self.cells[cell]).get("steps")
        return steps

    def start_from(self, cell: str) -> str | None:
        """The cell whose run of the same seed gives a cell's first weights, if any."""
        first: str | None = self.cells[cell].get("start_from")
        return first

    def is_scored_on(self, cell: str, name: str) -> bool:
        """Whether a cell is to be scored on the set called `name`."""
        return name in self.cells[cell].get("sets", [name])

    def recipe_of(self, cell: str, steps: int, seed: int) -> Recipe:
        """The resolved recipe of one run."""
        own = {"steps": steps, "seed": seed, "validate_every": math.ceil(steps / self.validations)}
        theirs = {k: v for k, v in self.cells[cell].items() if k not in _NO_RECIPE}
        try:
            return recipe_from(self.recipe | theirs | own)
        except ConfigError as error:
            raise ConfigError(f"cells.{cell}: {error}") from error

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: every seed counts once")
        earlier: list[str] = []
        for name, own in self.cells.items():
            if (first := own.get("start_from")) is not None and first not in earlier:
                near = suggestion(str(first), earlier)
                raise ValueError(f"cells.{name}: start_from names no cell before it{near}")
            sets = own.get("sets", [])
            if not isinstance(sets, list) or not all(isinstance(one, str) for one in sets):
                raise ValueError(f"cells.{name}: sets is a list of names")
            earlier.append(name)
            for key, instead in (("seed", "seeds"), ("validate_every", "validations")):
                if key in self.recipe | own:
                    raise ValueError(f"cells.{name}: {key} is settled by the plan's {instead}")
            steps = self.steps(name)
            if not isinstance(steps, int | None):
                raise ValueError(f"cells.{name}: steps is a whole number")
            if steps is None and self.minutes is None:
                raise ValueError(f"cells.{name} has no budget; give minutes, or steps in [recipe]")
            net = self.recipe_of(name, 1 if steps is None else steps, self.seeds[0]).net
            if first is not None and net != self.recipe_of(first, 1, self.seeds[0]).net:
                raise ValueError(f"cells.{name}: start_from names a cell with another network")
        return self


def load_plan(path: Path) -> Plan:
    """Read a TOML plan, or raise `ConfigError` naming the file, the cell and the key."""
    return validated(Plan, read_table(path), str(path))
