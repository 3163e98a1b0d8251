from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import prosr
from prosr.checkpoints.weights import build
from prosr.inference.engines import Engine, make_engine
from prosr.inference.ensemble import Ensemble
from prosr.inference.tiling import fit, tiled
from prosr.layouts import ProSRConfig

SMALL = ProSRConfig(features=6, growth=(4, 4), dcus=((2,), (1,)), value_range=1.0)


@pytest.fixture
def engine() -> Engine:
    torch.manual_seed(0)
    return make_engine(build(SMALL).eval(), 10**9, "torch")


def views(x: Tensor) -> list[Tensor]:
    return [torch.rot90(y, turns, (2, 3)) for y in (x, x.flip(3)) for turns in range(4)]


def test_it_is_the_mean_over_all_turns_of_both_sides(engine: Engine) -> None:
    x = torch.rand(1, 3, 7, 10)
    results = [engine(view, 2) for view in views(x)]
    back = [
        torch.rot90(y, -turns, (2, 3)) for y, turns in zip(results, [0, 1, 2, 3] * 2, strict=True)
    ]
    back = back[:4] + [y.flip(3) for y in back[4:]]
    assert (Ensemble(engine)(x, 2) - torch.stack(back).mean(0)).abs().max() < 1e-6


def test_a_turned_picture_gives_the_turned_result(engine: Engine) -> None:
    x = torch.rand(1, 3, 8, 8)
    y = Ensemble(engine)(x, 4)
    for view, expected in zip(views(x), views(y), strict=True):
        assert (Ensemble(engine)(view, 4) - expected).abs().max() < 1e-6
    assert (engine(x.flip(3), 4) - engine(x, 4).flip(3)).abs().max() > 1e-4, "it had to be averaged"


def test_tiled_equals_whole(engine: Engine) -> None:
    ensemble, x = Ensemble(engine), torch.rand(1, 3, 50, 40)
    halo = ensemble.radius(2)
    parts = tiled(ensemble, x, 2, fit((50, 40), 900, halo), halo)
    assert (parts - ensemble(x, 2)).abs().max() < 1e-6


def test_it_leaves_room_for_what_it_averages(engine: Engine) -> None:
    assert 0 < Ensemble(engine).pixels(2) < engine.pixels(2)


def test_it_says_how_much_the_engine_computes_at_once(engine: Engine) -> None:
    ensemble, most = Ensemble(engine), engine.pixels(2)
    assert ensemble.at_once(100, 2) == 400
    assert ensemble.at_once(most // 2, 2) == most // 2 * 2
    assert ensemble.at_once(int(0.8 * most), 2) == int(0.8 * most)


def test_what_an_ensemble_needs_is_that_of_all_views_that_go_together() -> None:
    plain, ensemble = (prosr.load("bicubic", engine="torch", ensemble=e) for e in (False, True))
    held = min(plain.memory((1, 1), 2), ensemble.memory((1, 1), 2))
    alone, together = (u.memory((500, 500), 2) - held for u in (plain, ensemble))
    assert 3 < together / alone < 6


def test_its_results_are_known_by_a_plus_sign() -> None:
    upscaler = prosr.load("prosr-xs", engine="torch", ensemble=True)
    assert upscaler.name == "prosr-xs+"
    assert "prosr-xs+" in upscaler.mark(2)


def test_equal_views_travel_together() -> None:
    shapes = []

    class Watching(nn.Module):
        name, precision = "watching", "fp32"

        def forward(self, x: Tensor, scale: int) -> Tensor:
            shapes.append(tuple(x.shape))
            return x

        def radius(self, scale: int) -> int:
            return 0

        def pixels(self, scale: int) -> int:
            return 100

    Ensemble(Watching())(torch.rand(1, 3, 4, 6), 2)
    assert shapes == [(4, 3, 4, 6), (4, 3, 6, 4)]
