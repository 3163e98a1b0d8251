"""Recipes: frozen, complete, and refused with the nearest right word."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from prosr.config import (
    Curriculum,
    Recipe,
    Schedule,
    Simultaneous,
    Single,
    load_recipe,
    preset,
    read_table,
)
from prosr.errors import ConfigError
from prosr.layouts import validated

XS = 'model = "prosr-xs"\nsteps = 1'
ONE = 'model = "table1-dcus"\nsteps = 1'


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_reach_values_and_tables(tmp_path: Path) -> None:
    path = recipe(tmp_path, 'model = "prosr-xs"\nsteps = 10\n')
    loaded = load_recipe(path, ["batch=2", "schedule.blend_4=[0.1, 0.2]", "decay=cosine"])
    assert (loaded.batch, loaded.decay) == (2, "cosine")
    assert loaded.schedule == Curriculum(blend_4=(0.1, 0.2))


@pytest.mark.parametrize(
    "text,schedule",
    [
        ("", Curriculum()),
        ("[schedule]\nkind = 'simultaneous'", Simultaneous()),
        ("[schedule]\nkind = 'single'\nscale = 8", Single(scale=8)),
    ],
)
def test_a_recipe_names_its_schedule(tmp_path: Path, text: str, schedule: Schedule) -> None:
    path = recipe(tmp_path, f'model = "prosr-xs"\nsteps = 10\n{text}\n')
    assert load_recipe(path).schedule == schedule


def test_a_recipe_narrows_a_preset(tmp_path: Path) -> None:
    text = 'model = "table1-dcus"\nsteps = 1\n[schedule]\nkind = "single"\nscale = 4\n'
    narrow = load_recipe(recipe(tmp_path, text + "[layout]\nfeatures = 8\ngrowth = 4\n")).net
    whole = load_recipe(recipe(tmp_path, text)).net
    assert whole == preset("table1-dcus")
    assert narrow == whole.model_copy(update={"features": 8, "growth": 4})


@pytest.mark.parametrize(
    "text,overrides,message",
    [
        ('model = "prosr-xs"\nstpes = 1', [], "unknown key 'stpes'; did you mean 'steps'"),
        ('model = "prosr-xs"\nsteps = 1', ["schedule.blend4=[0,1]"], "did you mean 'blend_4'"),
        ('model = "prosr-xxs"\nsteps = 1', [], "did you mean 'prosr-xs'"),
        ('model = "bicubic"\nsteps = 1', [], "no parameters to train"),
        ('model = "prosr-xs"\nsteps = 0', [], "steps: "),
        (XS, ["schedule.kind=singel"], "schedule: .*'singel' .* 'single'"),
        (
            XS,
            ["schedule.kind=single", "schedule.scal=4"],
            "schedule.single: unknown .*'scale'",
        ),
        (XS, ["schedule.kind=single"], "schedule.single.scale: Field required"),
        (XS, ["schedule.kind=simultaneous", "schedule.often=[0,1,1]"], "often.*greater than 0"),
        (XS, ["schedule.kind=simultaneous", "schedule.often=[inf,1,1]"], "often.*finite"),
        (XS, ["batch=many"], "batch: .* valid integer"),
        (XS, ["layout=1"], "layout: .* valid dictionary"),
        (XS, ["patch=48"], "patch: .* valid tuple"),
        (XS, ["batch=9223372036854775808"], "batch: "),
        (XS, ["seed=9223372036854775808"], "seed: "),
        (XS, ["warmup=9223372036854775808"], "warmup: an integer has more than 64 bits"),
        (XS, [f"seed={'9' * 5000}"], "seed: .* integer"),
        (XS, [f"layout={'[' * 5000}"], "layout: .* valid dictionary"),
        (XS, [f"{'x' * 5000}=1"], f"unknown key '{'x' * 60}'"),
        (XS, ["patch=[1000000, 36, 24]"], "patch.0: .*less than or equal to 10000"),
        (XS, ["layout.features=9223372036854775808"], "layout: features: "),
        (XS, ["schedule.kind=simultaneous", "schedule.often=[1e308,1e308,1]"], "often.*less than"),
        (f"{XS}\nx = {'[' * 5000}{']' * 5000}", [], "not a readable TOML recipe"),
        (XS, ["layout.featurs=8"], "layout: unknown key 'featurs'; did you mean 'features'"),
        (XS, ["layout.growth=[8, 8]"], "growth and dcus need one entry for each level"),
        (ONE, [], 'no levels to blend in; use .* "single" and scale = 4'),
        (ONE, ["schedule.kind=single", "schedule.scale=2"], "has no scale 2; use 4"),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "table3-laplacian"}, "a Laplacian pyramid has no residual"),
        ({"patch": (9, 9, 2)}, "patch: scale 8 needs at least 3"),
        ({"adversarial": {"discriminator": "srgun"}}, "there is no 'srgun'; did you mean 'srgan'"),
        ({"adversarial": {"layout": {"gian": 1}}}, "layout: unknown key 'gian'; .*'gain'"),
        ({"adversarial": {"layout": {"features": [8]}}}, "layers and features need one entry"),
        ({"adversarial": {"layout": {"features": [8], "layers": [1]}}}, "has fewer scales"),
        ({"norm": 2}, "norm: has no effect with adversarial"),
        ({"adversarial": {"gna": 1}}, "adversarial: unknown key 'gna'; did you mean 'gan'"),
        ({"adversarial": {"gan": 0, "perceptual": [0, 0]}}, "every term of the loss has weight 0"),
    ],
)
def test_mistakes_of_an_adversarial_recipe_are_named(
    change: dict[str, object], message: str
) -> None:
    adversarial: dict[str, object] = {"discriminator": "progansr-xs", "features": "vgg16"}
    adversarial |= {"file": "vgg16.pth"}
    value = {"model": "progansr-xs", "steps": 1, "batch": 8, "adversarial": adversarial}
    assert validated(Recipe, value).adversarial
    changed = change.get("adversarial", {})
    assert isinstance(changed, dict)
    with pytest.raises(ConfigError, match=message):
        validated(Recipe, value | change | {"adversarial": adversarial | changed})


def test_a_recipe_may_begin_as_some_editors_begin_a_file(tmp_path: Path) -> None:
    path = recipe(tmp_path, XS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_recipe(path).model == "prosr-xs"


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: .*No such file"):
        load_recipe(tmp_path / "none.toml")


def test_values_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Recipe(model="prosr-xs", steps=1).steps = 2


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError, match="no model is called"):
        preset("rcan")
    with pytest.raises(ConfigError, match=r"did you mean 'edsr-baseline-x2' or .* or 'edsr-x8'"):
        preset("edsr")


def test_what_a_stored_recipe_leaves_out_has_its_default() -> None:
    stored = Recipe(model="prosr-xs", steps=5, seed=3).model_dump(mode="json")
    for name in Recipe.model_fields.keys() - {"model", "steps", "seed"}:
        del stored[name]
    assert validated(Recipe, stored) == Recipe(model="prosr-xs", steps=5, seed=3)


def test_every_recipe_in_the_repository_loads() -> None:
    recipes = sorted((Path(__file__).parents[1] / "recipes").rglob("*.toml"))
    alone = [path for path in recipes if "cells" not in read_table(path)]  # the rest are plans
    assert alone
    for path in alone:
        load_recipe(path)
