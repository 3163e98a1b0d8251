"""Each loss is its equation."""

import torch

from prosr.config import Adversarial
from prosr.resample.tensors import downscale
from prosr.scales import SCALES
from prosr.training.losses import (
    adversarial_loss,
    discriminator_loss,
    generator_loss,
    grid_loss,
    perceptual_loss,
    pixel_loss,
    pyramid_loss,
)


def test_eq5_is_the_mean_absolute_difference() -> None:
    y_hat = torch.tensor([[[[0.0, 0.5]], [[1.0, 1.0]], [[0.2, 0.0]]]])
    y = torch.tensor([[[[0.1, 0.5]], [[0.5, 1.0]], [[0.2, 0.6]]]])
    torch.testing.assert_close(pixel_loss(y_hat, y), torch.tensor(1.2 / 6))


def test_norm_2_is_the_mean_of_root_mean_squares() -> None:
    y = torch.zeros(2, 3, 4, 4)
    y_hat = torch.stack([torch.full((3, 4, 4), 0.5), torch.zeros(3, 4, 4)])
    y_hat[1, 0, 0, :3] = 1  # a mean square of 3 / 48
    torch.testing.assert_close(pixel_loss(y_hat, y, 2), torch.tensor((0.5 + 0.25) / 2))
    torch.testing.assert_close(
        pyramid_loss([y_hat, y_hat.repeat(1, 1, 2, 2)], y.repeat(1, 1, 2, 2), 2), torch.tensor(0.75)
    )


def test_eq7_is_the_sum_over_the_pyramids_estimates() -> None:
    y = torch.rand(2, 3, 16, 16)
    estimates = [torch.rand(2, 3, side, side) for side in (4, 8, 16)]
    targets = [downscale(y, 4), downscale(y, 2), y]
    expected = sum((e - t).abs().mean() for e, t in zip(estimates, targets, strict=True))
    torch.testing.assert_close(pyramid_loss(estimates, y), expected)


def test_eq7_is_eq5_where_there_is_one_estimate() -> None:
    y, y_hat = torch.rand(2, 1, 3, 4, 4)
    assert torch.equal(pyramid_loss([y_hat], y), pixel_loss(y_hat, y))


def test_eq3_asks_for_1_on_truth_and_0_on_estimates() -> None:
    fake, real = torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 0.0]])
    expected = (0.25 + 1.0) / 2 + (0.0 + 1.0) / 2
    torch.testing.assert_close(discriminator_loss(fake, real), torch.tensor(expected))


def test_eq4_asks_for_1_on_estimates() -> None:
    fake = torch.tensor([[0.5, -1.0]])
    torch.testing.assert_close(adversarial_loss(fake), torch.tensor((0.25 + 4.0) / 2))


def test_eq4_compares_features_by_their_norm_picture_by_picture() -> None:
    ours, theirs = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    norms = [(a - b).square().mean().sqrt() for a, b in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(perceptual_loss(ours, theirs), (norms[0] + norms[1]) / 2)


def test_squared_features_are_compared_by_their_mean_squared_error() -> None:
    ours, theirs = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    squares = (ours - theirs).square().mean()
    torch.testing.assert_close(perceptual_loss(ours, theirs, squared=True), squares)


def test_the_gan_term_has_a_weight_for_each_scale() -> None:
    settings = {"discriminator": "progansr-l", "features": "vgg16", "file": "vgg16.pth"}
    weights = Adversarial.model_validate(settings | {"gan": [1, 2, 3], "perceptual": [0, 0]})
    r = torch.rand(1, 3, 16, 16)
    losses = [
        generator_loss(weights, lambda r_hat: r_hat, ({}, {}), r, r, r, scale)[0]
        for scale in SCALES
    ]
    torch.testing.assert_close(torch.stack(losses) / losses[0], torch.tensor([1.0, 2.0, 3.0]))
    assert Adversarial.model_validate(settings | {"gan": 0.3}).gan == (0.3, 0.3, 0.3)


def test_the_grid_loss_is_the_root_mean_square_of_a_pattern() -> None:
    torch.manual_seed(0)
    y = torch.rand(2, 3, 12, 8)
    places = torch.randn(3, 4, 4)
    grid = grid_loss(y + places.repeat(1, 3, 2), y, 4)
    torch.testing.assert_close(grid, places.square().mean().sqrt())


def test_the_grid_loss_ignores_detail_that_does_not_repeat() -> None:
    y_hat = torch.zeros(1, 3, 8, 8)
    y_hat[..., :4, :], y_hat[..., 4:, :] = 1, -1
    assert grid_loss(y_hat, torch.zeros(1, 3, 8, 8), 4) == 0


def test_equal_features_have_a_gradient_of_zero() -> None:
    theirs = torch.rand(1, 2, 3, 3)
    ours = theirs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(perceptual_loss(ours, theirs), ours)
    assert torch.equal(gradient, torch.zeros_like(ours))
