"""`prosr bench train` times variants of a training step in turns."""

import pytest

from prosr.config import Recipe, Single
from prosr.lab import steps
from prosr.lab.measurements import PEAK_MACS
from prosr.lab.steps import StepVariant, StepWork, make_variant, time_steps

RECIPE = Recipe(
    model="prosr-xs",
    layout={"features": 8, "growth": [2, 2, 2], "upsampled": [8, 4, 4]},
    steps=1,
    batch=2,
    patch=(6, 6, 6),
    schedule=Single(scale=2),
    clip=1.0,
)
WORK = StepWork(RECIPE, 2)


def test_a_step_counts_the_forward_pass_three_times() -> None:
    one = StepWork(RECIPE.model_copy(update={"batch": 1, "patch": (1, 1, 1)}), 2)
    assert one.macs % 3 == 0
    assert WORK.macs == 2 * 36 * one.macs


@pytest.mark.parametrize(
    "variant",
    [
        StepVariant(channels_last=True),
        StepVariant(bf16=True),
        StepVariant(keep_memory=True),
        None,
    ],
)
def test_every_eager_variant_can_take_steps(variant: StepVariant | None) -> None:
    step = make_variant((WORK, variant))
    step()
    step()


def test_the_rows_have_the_steps_the_peak_and_the_share_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "VARIANTS", {"plain": StepVariant(), "as prosr train": None})
    rows = time_steps(WORK, 1, lambda name: None)
    assert [row.subject for row in rows[:2]] == ["plain", "as prosr train"]
    assert all(row.pictures == 2 and row.memory and row.gflops for row in rows[:2])
    assert rows[1].waiting is not None and 0 <= rows[1].waiting <= 1
    assert {row.multiply_adds for row in rows[2:]} == {PEAK_MACS}
