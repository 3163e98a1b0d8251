"""Each loss is its equation."""

import torch

from prosr.training.losses import pixel_loss


def test_eq5_is_the_mean_absolute_difference() -> None:
    y_hat = torch.tensor([[[[0.0, 0.5]], [[1.0, 1.0]], [[0.2, 0.0]]]])
    y = torch.tensor([[[[0.1, 0.5]], [[0.5, 1.0]], [[0.2, 0.6]]]])
    torch.testing.assert_close(pixel_loss(y_hat, y), torch.tensor(1.2 / 6))
