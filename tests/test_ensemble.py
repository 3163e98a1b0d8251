"""The self-ensemble: the mean over a picture's flips and quarter turns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import prosr
from prosr.inference.engine import Engine
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.ensemble import Ensemble
from prosr.inference.tiling import Block, fit, tiled
from prosr.layouts import ProSRConfig
from prosr.nets.build import build

SMALL = ProSRConfig(features=6, growth=(4, 4), dcus=((2,), (1,)), value_range=1.0)


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    return TorchEngine(build(SMALL).eval(), 10**9)


def picture(*size: int) -> Block:
    return np.random.default_rng(0).random((1, 3, *size), np.float32)


def turned(x: Block, turns: int) -> Block:
    return np.rot90(x, turns, (2, 3))


def views(x: Block) -> list[Block]:
    return [turned(y, turns) for y in (x, np.flip(x, 3)) for turns in range(4)]


def test_it_is_the_mean_over_all_turns_of_both_sides(engine: Engine) -> None:
    x = picture(7, 10)
    results = [engine(view, 2) for view in views(x)]
    back = [turned(y, -turns) for y, turns in zip(results, [0, 1, 2, 3] * 2, strict=True)]
    back = back[:4] + [np.flip(y, 3) for y in back[4:]]
    assert np.abs(Ensemble(engine)(x, 2) - np.stack(back).mean(0)).max() < 1e-6


def test_a_turned_picture_gives_the_turned_result(engine: Engine) -> None:
    x = picture(8, 8)
    y = Ensemble(engine)(x, 4)
    for view, expected in zip(views(x), views(y), strict=True):
        assert np.abs(Ensemble(engine)(view, 4) - expected).max() < 1e-6
    flipped = engine(np.flip(x, 3), 4)
    assert np.abs(flipped - np.flip(engine(x, 4), 3)).max() > 1e-4, "it had to be averaged"


def test_tiled_equals_whole(engine: Engine) -> None:
    ensemble, x = Ensemble(engine), picture(50, 40)
    halo = ensemble.radius(2)
    parts = tiled(ensemble, x, 2, fit((50, 40), 900, halo), halo)
    assert np.abs(parts - ensemble(x, 2)).max() < 1e-6


def test_it_leaves_room_for_what_it_averages(engine: Engine) -> None:
    assert 0 < Ensemble(engine).pixels(2) < engine.pixels(2)


def test_its_results_are_marked_with_a_plus_sign() -> None:
    upscaler = prosr.load("prosr-xs", engine="torch", ensemble=True)
    assert upscaler.name == "prosr-xs+"
    assert "prosr-xs+" in upscaler.mark(2)
