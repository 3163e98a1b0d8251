"""The one bicubic, against MATLAB's own files and against torch's antialiased bicubic."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from prosr import resample
from prosr.errors import ConfigError
from prosr.resample import PHI_RADIUS, imresize_double, imresize_uint8, make_input
from prosr.resample.tensors import back_project, downscale, upscale
from prosr.scales import SCALES


@pytest.mark.parametrize("scale", SCALES)
def test_inputs_equal_matlabs_bit_for_bit(prosr_data: Path, scale: int) -> None:
    for truth in sorted((prosr_data / "golden/set5_hr").glob("*.png")):
        y = np.asarray(Image.open(truth).convert("RGB"))
        height, width = (length // scale * scale for length in y.shape[:2])
        golden = np.asarray(Image.open(truth.parents[1] / f"set5_lr_x{scale}" / truth.name))
        np.testing.assert_array_equal(make_input(y[:height, :width], scale), golden)


@pytest.mark.parametrize("scale", SCALES)
def test_upscaling_agrees_with_torch_away_from_borders(scale: int) -> None:
    x = torch.rand(2, 3, 17, 13, dtype=torch.float64)
    ours = upscale(x, scale)
    theirs = F.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)
    inner = slice(3 * scale, -3 * scale)
    torch.testing.assert_close(ours[..., inner, inner], theirs[..., inner, inner])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("height,width", [(1, 1), (1, 7), (2, 1), (3, 2), (9, 5)])
def test_borders_are_symmetric(scale: int, height: int, width: int) -> None:
    x = torch.rand(1, 3, height, width, dtype=torch.float64)
    mirrored = torch.cat((x.flip(-1), x, x.flip(-1)), -1)
    mirrored = torch.cat((mirrored.flip(-2), mirrored, mirrored.flip(-2)), -2)
    middle = upscale(mirrored, scale)[
        ..., scale * height : 2 * scale * height, scale * width : 2 * scale * width
    ]
    if min(height, width) > 1:
        torch.testing.assert_close(upscale(x, scale), middle)
    assert upscale(x, scale).shape == (1, 3, scale * height, scale * width)


@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_picture_stays_flat(scale: int) -> None:
    flat = torch.full((1, 3, 1, 6), 0.7, dtype=torch.float64)
    expected = torch.full((1, 3, scale, 6 * scale), 0.7, dtype=torch.float64)
    torch.testing.assert_close(upscale(flat, scale), expected)
    y = np.full((4 * scale, 3 * scale), 200, np.uint8)
    np.testing.assert_array_equal(make_input(y, scale), np.full((4, 3), 200))


def test_upscaling_is_differentiable() -> None:
    x = torch.rand(1, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: upscale(value, 2), (x,))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("height,width", [(1, 1), (3, 17), (16, 40)])
def test_downscaling_tensors_equals_imresize(scale: int, height: int, width: int) -> None:
    y = torch.rand(2, 3, height, width, dtype=torch.float64)
    expected = [imresize_double(image.permute(1, 2, 0).numpy(), scale) for image in y]
    ours = downscale(y, scale).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours, torch.from_numpy(np.stack(expected)))
    torch.testing.assert_close(downscale(y.float(), scale), downscale(y, scale).float())


def test_the_two_families_differ_only_by_rounding() -> None:
    y = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    exact = imresize_double(y.astype(np.float64), 4)
    assert np.abs(imresize_uint8(y, 4) - np.clip(exact, 0, 255)).max() < 1.5


def test_a_length_that_is_no_multiple_is_reduced_to_the_ceiling() -> None:
    assert imresize_uint8(np.zeros((5, 9), np.uint8), 2).shape == (3, 5)


@pytest.mark.parametrize("shape", [(7, 8, 3), (8, 7), (0, 8)])
def test_inputs_need_a_multiple_of_the_scale(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="multiple of 8"):
        make_input(np.zeros(shape, np.uint8), 8)
    with pytest.raises(ConfigError, match="uint8"):
        imresize_uint8(np.zeros((8, 8)), 8)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_back_projection_makes_an_estimate_agree_with_its_input(scale: int) -> None:
    torch.manual_seed(0)
    x = F.interpolate(torch.rand(1, 3, 4, 5), scale_factor=4, mode="bilinear")
    y_hat = upscale(x, scale) + 0.1 * torch.randn(1, 3, 16 * scale, 20 * scale) + 0.05
    errors = [
        (downscale(back_project(y_hat, x, scale, n), scale) - x).square().mean() for n in range(4)
    ]
    assert errors[1] < errors[0] / 20
    assert errors[3] < errors[2] < errors[1]
    assert torch.equal(back_project(y_hat, x, scale, 0), y_hat)


def test_back_projection_depends_on_no_more_than_its_radius() -> None:
    x, y_hat = torch.rand(1, 1, 15, 15), torch.rand(1, 1, 30, 30)
    changed = y_hat.clone()
    changed[..., :2, :] += 1
    reached = (back_project(changed, x, 2, 1) - back_project(y_hat, x, 2, 1)).abs() > 1e-6
    rows = reached.any(dim=3).flatten().nonzero().flatten() // 2
    assert int(rows.max()) == 2 * PHI_RADIUS


def test_autocast_does_not_round_pictures() -> None:
    x, y = torch.rand(1, 3, 9, 8), torch.rand(1, 3, 36, 32)
    expected = upscale(x, 4), downscale(y, 4), back_project(y, x, 4, 2)
    with torch.autocast("cpu", torch.bfloat16):
        given = upscale(x, 4), downscale(y, 4), back_project(y, x, 4, 2)
    assert all(torch.equal(a, b) for a, b in zip(given, expected, strict=True))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (9, 5)])
def test_arrays_and_tensors_are_enlarged_alike(scale: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    enlarged = resample.upscale(x.numpy(), scale)
    np.testing.assert_allclose(enlarged, upscale(x, scale).numpy(), atol=1e-12)
