"""The schedule of 3.4, as functions of the step."""

import subprocess
import sys
from typing import Literal

import pytest

from prosr.config import Curriculum, Recipe, Schedule, Simultaneous, Single
from prosr.scales import Scale
from prosr.training.curriculum import (
    ema_decay_at,
    learning_rate_at,
    opened_at,
    scale_at,
    shares,
    stage_at,
)

RECIPE = Recipe(model="prosr-xs", steps=1000)


def scheduled(schedule: Schedule, model: str = "prosr-xs") -> Recipe:
    return Recipe(model=model, steps=1000, schedule=schedule)


@pytest.mark.parametrize(
    "step,scales,alpha",
    [
        (0, (2,), 1),
        (119, (2,), 1),
        (120, (2, 4), 0),
        (185, (2, 4), 0.5),
        (250, (2, 4), 1),
        (449, (2, 4), 1),
        (450, (2, 4, 8), 0),
        (525, (2, 4, 8), 0.5),
        (600, (2, 4, 8), 1),
        (999, (2, 4, 8), 1),
    ],
)
def test_released_schedule(step: int, scales: tuple[int, ...], alpha: float) -> None:
    stage = stage_at(step, RECIPE)
    assert stage.scales == scales
    assert stage.alpha == pytest.approx(alpha)


def test_only_the_newest_scale_is_blended() -> None:
    stage = stage_at(525, RECIPE)
    assert [stage.alpha_of(scale) for scale in (2, 4, 8)] == [1, 1, pytest.approx(0.5)]


def test_simultaneous_opens_all_scales_at_once() -> None:
    stages = {stage_at(step, scheduled(Simultaneous())) for step in range(0, 1000, 50)}
    assert {(stage.scales, stage.alpha) for stage in stages} == {((2, 4, 8), 1.0)}


def test_each_later_scale_opens_once() -> None:
    opened = {step: opened_at(step, RECIPE) for step in range(RECIPE.steps)}
    assert {step: scales for step, scales in opened.items() if scales} == {120: (4,), 450: (8,)}
    simultaneous = scheduled(Simultaneous())
    assert not any(opened_at(step, simultaneous) for step in range(simultaneous.steps))


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_single_opens_one_scale(scale: Literal[2, 4, 8]) -> None:
    recipe = scheduled(Single(scale=scale))
    stages = {stage_at(step, recipe) for step in range(0, 1000, 50)}
    assert {(stage.scales, stage.alpha) for stage in stages} == {((scale,), 1.0)}
    assert {scale_at(step, recipe) for step in range(0, 1000, 50)} == {scale}


def test_a_network_without_8_opens_only_its_own_scales() -> None:
    recipe = scheduled(Curriculum(), "table1-asymmetric")
    assert [stage_at(step, recipe).scales for step in (0, 200, 999)] == [(2,), (2, 4), (2, 4)]
    assert stage_at(0, scheduled(Simultaneous(), "table1-dcus")).scales == (4,)


@pytest.mark.parametrize("schedule", [Curriculum(), Simultaneous(), Single(scale=4)])
@pytest.mark.parametrize("model", ["prosr-xs", "table1-asymmetric"])
def test_shares_are_the_expected_fractions_of_draws(schedule: Schedule, model: str) -> None:
    recipe = scheduled(schedule, model)
    expected = dict.fromkeys(recipe.scales, 0.0)
    for step in range(1000):
        open_scales = stage_at(step, recipe).scales
        for scale in open_scales:
            expected[scale] += 1 / 1000 / len(open_scales)
    assert shares(recipe) == pytest.approx(expected)
    assert sum(shares(recipe).values()) == pytest.approx(1)


def test_scales_are_drawn_evenly_from_the_open_ones() -> None:
    drawn = [scale_at(step, RECIPE) for step in range(1000)]
    assert set(drawn[:120]) == {2}
    assert set(drawn[120:450]) == {2, 4}
    late = drawn[600:]
    assert all(0.25 < late.count(scale) / len(late) < 0.42 for scale in (2, 4, 8))


@pytest.mark.parametrize(
    "model,expected",
    [("prosr-xs", {2: 0.2, 4: 0.2, 8: 0.6}), ("table1-asymmetric", {2: 0.5, 4: 0.5})],
)
def test_simultaneous_scales_are_drawn_as_often_as_asked(
    model: str, expected: dict[Scale, float]
) -> None:
    recipe = scheduled(Simultaneous(often=(1, 1, 3)), model)
    drawn = [scale_at(step, recipe) for step in range(3000)]
    assert set(drawn) == set(expected)
    for scale, share in expected.items():
        assert drawn.count(scale) / len(drawn) == pytest.approx(share, abs=0.03)
    assert shares(recipe) == pytest.approx(expected)


def test_the_draw_depends_only_on_seed_and_step() -> None:
    assert [scale_at(s, RECIPE) for s in range(900, 950)] == [
        scale_at(s, RECIPE) for s in range(900, 950)
    ]
    other = RECIPE.model_copy(update={"seed": 1})
    assert [scale_at(s, RECIPE) for s in range(900, 950)] != [
        scale_at(s, other) for s in range(900, 950)
    ]


def test_rate_warms_up_and_falls_to_zero() -> None:
    recipe = Recipe(model="prosr-xs", steps=100, warmup=10, decay="cosine", learning_rate=1e-3)
    rates = [learning_rate_at(step, recipe) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) < 1e-3
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_rate_is_constant_by_default() -> None:
    assert {learning_rate_at(step, RECIPE) for step in range(0, 1000, 100)} == {1e-4}


def test_the_average_forgets_the_initial_weights() -> None:
    assert ema_decay_at(0, RECIPE) == pytest.approx(0.1)
    assert ema_decay_at(100_000, RECIPE) == 0.999


def test_needs_no_torch() -> None:
    code = "import sys, prosr.training.curriculum; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
