"""Subjects take turns, and those that take too long leave early."""

import time

import pytest
import torch

from prosr.lab.rounds import PEAK_MULTIPLY_ADDS, PEAK_SIDE, Timing, matmul, measure


def test_subjects_take_turns_after_a_round_to_warm_up() -> None:
    calls: list[str] = []
    subjects = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    timings = measure(subjects, 3)
    assert calls == ["a", "b"] * 4
    assert [len(timing.seconds) for timing in timings.values()] == [3, 3]


def test_what_is_too_slow_keeps_its_only_call_and_the_others_go_on() -> None:
    timings = measure({"slow": lambda: time.sleep(0.02), "fast": lambda: None}, 4, limit=0.01)
    assert len(timings["slow"].seconds) == 1
    assert timings["slow"].median >= 0.02
    assert len(timings["fast"].seconds) == 4


def test_median_and_quartiles_hold_against_one_bad_round() -> None:
    timing = Timing((1.0, 2.0, 3.0, 4.0, 100.0))
    assert timing.median == 3
    assert timing.quartiles == (2, 4)
    assert timing.best == 1
    assert Timing((5.0,)).quartiles == (5, 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_product_is_of_the_size_that_it_is_counted_with(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.lab.rounds.PEAK_SIDE", 8)
    products: list[tuple[torch.Size, torch.Size]] = []

    def multiply(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> None:
        products.append((a.shape, b.shape))
        assert {a.dtype, b.dtype, out.dtype} == {dtype}

    monkeypatch.setattr(torch, "mm", multiply)
    matmul(dtype)()
    assert set(products) == {((8, 8), (8, 8))}
    assert len(products) * PEAK_SIDE**3 == PEAK_MULTIPLY_ADDS
    assert PEAK_SIDE >= 1024


def test_what_prepares_a_call_is_in_no_one_s_time() -> None:
    calls: list[tuple[str, bool]] = []

    def prepare(name: str, again: bool) -> None:
        calls.append((name, again))
        time.sleep(0.02)

    timings = measure({"a": lambda: None}, 2, prepare=prepare)
    assert calls == [("a", False), ("a", True), ("a", True)]
    assert timings["a"].median < 0.01
