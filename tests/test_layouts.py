"""Layouts of other systems: complete, frozen, and the same after a weights file's header."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prosr.config import net_config, preset, recipe_from
from prosr.errors import ConfigError
from prosr.nets.baselines import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_layout_survives_the_header(name: str) -> None:
    config = preset(name)
    assert net_config(json.loads(config.model_dump_json())) == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_for_one_scale_says_so_in_its_name(name: str) -> None:
    marked = name.rpartition("-x")[2]
    scales = PRESETS[name].scales
    assert scales[-1] == int(marked) if marked.isdigit() else scales == (2, 4, 8)


def test_a_curriculum_needs_levels_to_blend() -> None:
    recipe = {"model": "vdsr", "steps": 1}
    with pytest.raises(ConfigError, match='use kind = "simultaneous" or "single"'):
        recipe_from(recipe)
    assert recipe_from(recipe | {"schedule": {"kind": "simultaneous"}}).scales == (2, 4, 8)
    assert recipe_from({"model": "edsr-x2", "steps": 1}).scales == (2,)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"kind": "vdsr", "layrs": 3}, "did you mean 'layers'"),
        ({"kind": "edsr", "scale": 3, "blocks": 1, "features": 1, "residual_scale": 1}, "scale"),
        ({"kind": "lapsrn", "levels": 4}, "levels"),
        ({"kind": "srresnet"}, "scale"),
        ({"kind": "srgan", "scale": 4}, "srgan"),
        ({"kind": "prosr", "edsr": 4}, "unknown key 'edsr'"),
        ({"kind": ["edsr"]}, "kind"),
        ({}, "kind"),
        ([], "no table"),
        ("prosr", "no table"),
    ],
)
def test_mistakes_are_named(value: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refusal:
        net_config(value)
    assert "\n" not in str(refusal.value)
