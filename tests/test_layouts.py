"""Layouts: complete, frozen, and the same after a weights file's header."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prosr.config import PRESETS, Recipe, net_config, preset
from prosr.errors import ConfigError
from prosr.layouts import DenseConfig, ProSRConfig, validated
from prosr.scales import SCALES, check_scale, choose_scales


@pytest.mark.parametrize("name", PRESETS)
def test_a_layout_survives_the_header(name: str) -> None:
    config = preset(name)
    assert net_config(json.loads(config.model_dump_json())) == config


def test_a_system_made_for_one_scale_has_it_in_its_name() -> None:
    for name, layout in PRESETS.items():
        if not isinstance(layout, DenseConfig):
            scale = name.rpartition("-x")[2]
            assert layout.scales[-1] == (int(scale) if scale.isdigit() else SCALES[-1])


def test_a_scale_is_2_4_or_8() -> None:
    assert check_scale(4) == 4
    with pytest.raises(ConfigError, match="scale 3 is not one of 2, 4, 8"):
        check_scale(3)


def test_a_model_enlarges_only_by_its_scales() -> None:
    assert choose_scales("lapsrn", (2, 4), []) == (2, 4)
    assert choose_scales("lapsrn", (2, 4), [4, 4]) == (4,)
    with pytest.raises(ConfigError, match="lapsrn does not enlarge by 8, only by 2, 4"):
        choose_scales("lapsrn", (2, 4), [2, 8])


def test_growth_may_equal_features_without_a_bottleneck() -> None:
    layout = ProSRConfig(
        features=8, growth=(8, 8), bottleneck=1, dcus=((1,), (1,)), upsampled=(4, 2)
    )
    assert net_config(layout.model_dump()) == layout


def test_a_curriculum_needs_levels_to_blend() -> None:
    recipe = {"model": "vdsr", "steps": 1}
    with pytest.raises(ConfigError, match='use kind = "simultaneous", or "single"'):
        validated(Recipe, recipe)
    assert validated(Recipe, recipe | {"schedule": {"kind": "simultaneous"}}).scales == (2, 4, 8)
    assert validated(Recipe, {"model": "edsr-x2", "steps": 1}).scales == (2,)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"kind": "vdsr", "layrs": 3}, "did you mean 'layers'"),
        ({"kind": "edsr", "scale": 3, "blocks": 1, "features": 1, "residual_scale": 1}, "scale"),
        ({"kind": "lapsrn", "levels": 4}, "levels"),
        ({"kind": "srresnet"}, "scale"),
        ({"kind": "srgan", "scale": 4}, "kind: there is no 'srgan'"),
        ({"kind": "prosr", "edsr": 4}, "unknown key 'edsr'"),
        ({"kind": "prosr"}, "features: Field required"),
        ({"kind": "prosrs"}, "kind: there is no 'prosrs'; did you mean 'prosr'"),
        ({"kind": ["edsr"]}, "kind"),
        ({}, "kind"),
    ],
)
def test_mistakes_are_named(value: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refusal:
        net_config(value)
    assert "\n" not in str(refusal.value)
