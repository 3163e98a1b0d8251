"""bfloat16 is used where it was timed to be faster, not where a processor only has it."""

from collections.abc import Callable

import pytest
import torch

from prosr.inference import precision


def decided(monkeypatch: pytest.MonkeyPatch, native: bool, bf16: Callable[[], float]) -> bool:
    monkeypatch.setattr(precision, "has_native_bf16", lambda: native)
    monkeypatch.setattr(
        precision, "_seconds", lambda kind: bf16() if kind is torch.bfloat16 else 1.0
    )
    return precision.bf16_pays.__wrapped__()


@pytest.mark.parametrize(("seconds", "pays"), [(0.25, True), (0.95, False), (2.0, False)])
def test_it_must_be_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, seconds: float, pays: bool
) -> None:
    threads = torch.get_num_threads()
    assert decided(monkeypatch, True, lambda: seconds) == pays
    assert torch.get_num_threads() == threads


def test_most_products_may_be_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.5, *[9.0] * 100])
    assert decided(monkeypatch, True, lambda: next(times))


def test_what_would_be_emulated_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> float:
        raise AssertionError("timed")

    assert not decided(monkeypatch, False, refuse)
