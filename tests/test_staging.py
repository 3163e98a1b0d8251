"""Stage by stage equals at once, and needs no more memory than it was given."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prosr.inference.staging import Plan, Stage, make_plan, radius_of, run_plan, sides, tiled_pixels

WEIGHTS = [torch.rand(4, 4, 5, 5, generator=torch.Generator().manual_seed(i)) - 0.5 for i in (1, 2)]


def smooth(z: Tensor) -> Tensor:
    return F.conv2d(z, WEIGHTS[0] / 5, padding=2)


def grow(z: Tensor) -> Tensor:
    return F.conv2d(z, WEIGHTS[1] / 5, padding=2).repeat_interleave(2, 2).repeat_interleave(2, 3)


STAGES = [
    Stage(smooth, 1, 2, 500, 100, 400),
    Stage(grow, 2, 2, 800, 600, 800),
    Stage(grow, 2, 2, 800, 600, 800),
    Stage(smooth, 1, 2, 200, 100, 400),
]


def test_the_radius_of_a_chain_is_that_of_its_first_input() -> None:
    # 2, then ceil(2/2) + 2 = 3, then ceil(3/2) + 2 = 4, then 4 + 2.
    assert radius_of(STAGES) == 6


@settings(max_examples=30)
@given(st.integers(16, 60), st.integers(10_000, 4_000_000))
def test_any_plan_gives_what_the_stages_give_at_once(side: int, budget: int) -> None:
    plan = make_plan(STAGES, side, budget)
    if plan is None:
        return
    z = torch.rand(1, 4, side - 7, side + 5, generator=torch.Generator().manual_seed(side))
    whole = z
    for stage in STAGES:
        whole = stage.function(whole)
    assert (run_plan(plan, STAGES, z) - whole).abs().max() < 1e-5


def peak(plan: Plan, stages: list[Stage], side: int) -> int:
    """Most bytes at once, as the plan's stages state them, for an input of `side`."""
    tile = min(side**2, plan.pixels)
    if plan.rest is None:
        factors = [1]
        for stage in stages:
            factors.append(factors[-1] * stage.factor**2)
        return max(tile * f * s.work for f, s in zip(factors, stages, strict=False))
    head, tail = stages[: plan.cut], stages[plan.cut :]
    factor = 1
    for stage in head:
        factor *= stage.factor
    features = tile * head[-1].result * (factor // head[-1].factor) ** 2
    inside = Plan(min(plan.head, tile), 0)
    below = peak(plan.rest, tail, int(tile**0.5) * factor)
    return features + max(peak(inside, head, int(tile**0.5)), below)


@given(st.integers(50, 500), st.integers(100_000, 50_000_000))
def test_a_plan_keeps_to_its_budget(side: int, budget: int) -> None:
    plan = make_plan(STAGES, side, budget)
    assert plan is None or peak(plan, STAGES, side) <= budget


def test_what_fits_goes_at_once_and_what_never_can_has_no_plan() -> None:
    plan = make_plan(STAGES, 50, 10**9)
    assert plan is not None and plan.rest is None and plan.pixels == 2500
    assert make_plan(STAGES, 50, 10_000) is None


def test_more_memory_saves_arithmetic() -> None:
    plans = [make_plan(STAGES, 400, budget) for budget in (1_000_000, 4_000_000, 16_000_000)]
    costs = [plan.multiply_adds for plan in plans if plan is not None]
    assert len(costs) == 3 and costs == sorted(costs, reverse=True)


@pytest.mark.parametrize("side", [1, 16, 100])
def test_tiled_pixels_are_no_fewer_than_those_of_the_picture(side: int) -> None:
    assert all(tiled_pixels(side, tile, 3) >= side**2 for tile in sides(side, 3))
