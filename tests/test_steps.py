"""Training steps, measured in turns."""

import pytest

from prosr.config import Recipe, Single
from prosr.lab.rounds import PEAK_MULTIPLY_ADDS
from prosr.training import steps
from prosr.training.steps import Variant, Work, make_step, time_steps

RECIPE = Recipe(
    model="prosr-xs",
    layout={"features": 8, "growth": [2, 2, 2], "upsampled": [8, 4, 4]},
    steps=1,
    batch=2,
    patch=(6, 6, 6),
    schedule=Single(scale=2),
    clip=1.0,
)
WORK = Work(RECIPE, 2)


def test_a_step_counts_the_forward_pass_three_times() -> None:
    one = Work(RECIPE.model_copy(update={"batch": 1, "patch": (1, 1, 1)}), 2)
    assert one.multiply_adds % 3 == 0
    assert WORK.multiply_adds == 2 * 36 * one.multiply_adds


@pytest.mark.parametrize(
    "variant",
    [
        Variant(channels_last=True),
        Variant(bf16=True),
        Variant(adam="foreach"),
        Variant(adam="fused"),
        Variant(care=True),
        None,
    ],
)
def test_every_eager_variant_can_take_steps(variant: Variant | None) -> None:
    step = make_step((WORK, variant))
    step()
    step()


def test_the_rows_have_the_steps_the_peak_and_the_share_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "VARIANTS", {"plain": Variant(), "as prosr train": None})
    rows, notes = time_steps(WORK, 1, lambda name: None)
    assert not notes
    assert [row.subject for row in rows[:2]] == ["plain", "as prosr train"]
    assert all(row.pictures == 2 and row.memory and row.gflops for row in rows[:2])
    assert rows[1].waiting is not None and 0 <= rows[1].waiting <= 1
    assert {row.multiply_adds for row in rows[2:]} == {PEAK_MULTIPLY_ADDS}
