from __future__ import annotations

import torch

from prosr.inference.alpha import FILL_RADIUS, fill_transparent

GENERATOR = torch.Generator().manual_seed(0)


def test_visible_colour_comes_back_bit_for_bit() -> None:
    colour = torch.rand(1, 3, 20, 20, generator=GENERATOR)
    alpha = torch.rand(1, 1, 20, 20, generator=GENERATOR)
    filled = fill_transparent(colour, alpha)
    visible = (alpha >= 1 / 16).expand_as(colour)
    assert torch.equal(filled[visible], colour[visible])
    assert torch.equal(fill_transparent(colour, torch.ones_like(alpha)), colour)


def test_transparent_pixels_take_the_colour_beside_them() -> None:
    colour = torch.zeros(1, 3, 9, 40)
    colour[..., :20] = torch.tensor([0.9, 0.5, 0.1]).view(1, 3, 1, 1)
    alpha = torch.zeros(1, 1, 9, 40)
    alpha[..., :20] = 1
    filled = fill_transparent(colour, alpha)
    beside = filled[..., 20 : 20 + FILL_RADIUS - 1]
    assert (beside - colour[..., :1]).abs().max() < 0.02
    assert torch.equal(filled[..., 20 + FILL_RADIUS :], colour[..., 20 + FILL_RADIUS :])


def test_nothing_depends_on_what_is_beyond_the_radius() -> None:
    colour = torch.rand(1, 1, 40, 40, generator=GENERATOR)
    alpha = torch.rand(1, 1, 40, 40, generator=GENERATOR).round()
    whole = fill_transparent(colour, alpha)
    r = FILL_RADIUS
    part = fill_transparent(colour[..., 5:35, 5:35], alpha[..., 5:35, 5:35])
    inner = whole[..., 5 + r : 35 - r, 5 + r : 35 - r]
    assert (part[..., r:-r, r:-r] - inner).abs().max() < 1e-6


def test_a_wholly_transparent_picture_keeps_its_colour() -> None:
    colour = torch.rand(1, 3, 9, 9, generator=GENERATOR)
    filled = fill_transparent(colour, torch.zeros(1, 1, 9, 9))
    assert (filled - colour).abs().max() < 1e-6
