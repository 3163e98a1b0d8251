"""Recipes: frozen, complete, and refused with the nearest right word."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from prosr.config import Recipe, check_scale, load_recipe, net_config, preset
from prosr.errors import ConfigError


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_reach_values_and_tables(tmp_path: Path) -> None:
    path = recipe(tmp_path, 'model = "prosr-xs"\nsteps = 10\n')
    loaded = load_recipe(path, ["batch=2", "schedule.blend_4=[0.1, 0.2]", "decay=cosine"])
    assert (loaded.batch, loaded.schedule.blend_4, loaded.decay) == (2, (0.1, 0.2), "cosine")


@pytest.mark.parametrize(
    "text,overrides,message",
    [
        ('model = "prosr-xs"\nstpes = 1', [], "unknown key 'stpes'; did you mean 'steps'"),
        ('model = "prosr-xs"\nsteps = 1', ["schedule.blend4=[0,1]"], "did you mean 'blend_4'"),
        ('model = "prosr-xxs"\nsteps = 1', [], "did you mean 'prosr-xs'"),
        ('model = "bicubic"\nsteps = 1', [], "nothing to train"),
        ('model = "prosr-xs"\nsteps = 0', [], "steps: "),
        ('model = "prosr-xs"', [], "steps: Field required"),
        ('model = "prosr-xs"\nsteps = 1', ["schedule.blend_4=[0.5,0.4]"], "rising"),
        ('model = "prosr-xs"\nsteps = 1', ["steps"], "not key=value"),
        ('model = "prosr-xs"\nsteps = 1', ["steps.x=1"], "not a table"),
        ("model = ", [], "TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        load_recipe(recipe(tmp_path, text), overrides)
    assert "\n" not in str(refusal.value).removesuffix("\n")


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such recipe"):
        load_recipe(tmp_path / "none.toml")


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Recipe(model="prosr-xs", steps=1).steps = 2  # type: ignore[misc]


def test_scales_and_presets_are_checked() -> None:
    assert check_scale(4) == 4
    with pytest.raises(ConfigError, match="scale 3 is not one of 2, 4, 8"):
        check_scale(3)
    with pytest.raises(ConfigError, match="no model is called"):
        preset("vdsr")


@pytest.mark.parametrize("value", [{"kind": "prosr"}, {"kind": "other"}, {}])
def test_a_layout_must_be_complete(value: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        net_config(value)


def test_needs_no_torch() -> None:
    code = "import sys, prosr.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_recipe_in_the_repository_loads() -> None:
    recipes = sorted((Path(__file__).parents[1] / "recipes").rglob("*.toml"))
    assert recipes
    for path in recipes:
        load_recipe(path)
