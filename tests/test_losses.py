"""Each loss is its equation."""

import torch

from prosr.resample import downscale
from prosr.training.losses import pixel_loss, pyramid_loss


def test_eq5_is_the_mean_absolute_difference() -> None:
    y_hat = torch.tensor([[[[0.0, 0.5]], [[1.0, 1.0]], [[0.2, 0.0]]]])
    y = torch.tensor([[[[0.1, 0.5]], [[0.5, 1.0]], [[0.2, 0.6]]]])
    torch.testing.assert_close(pixel_loss(y_hat, y), torch.tensor(1.2 / 6))


def test_eq7_is_the_sum_over_the_pyramids_estimates() -> None:
    y = torch.rand(2, 3, 16, 16)
    estimates = [torch.rand(2, 3, side, side) for side in (4, 8, 16)]
    targets = [downscale(y, 4), downscale(y, 2), y]
    expected = sum((e - t).abs().mean() for e, t in zip(estimates, targets, strict=True))
    torch.testing.assert_close(pyramid_loss(estimates, y), expected)


def test_eq7_is_eq5_where_there_is_one_estimate() -> None:
    y, y_hat = torch.rand(2, 1, 3, 4, 4)
    assert torch.equal(pyramid_loss([y_hat], y), pixel_loss(y_hat, y))
