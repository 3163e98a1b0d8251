"""Optional scores, and the errors where one is not available."""

import sys
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchmetrics.functional import image

import prosr
from prosr.checkpoints.features import open_features
from prosr.cli.tables import score_tables
from prosr.data.benchmarks import open_benchmark
from prosr.errors import CheckpointError, ConfigError, DataError
from prosr.evaluation import perceptual
from prosr.evaluation.perceptual import find_scorers
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.results import read_results, save_results
from prosr.evaluation.scoring import score
from prosr.images.reading import read_rgb
from prosr.nets.features import SqueezeNet, feature_distance
from prosr.resample import make_input

PAPER = find_protocol("paper")


@pytest.fixture
def squeezenet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = SqueezeNet().state_dict()
    named = {f"{name.rpartition('.')[0]}.number{i}": v for i, (name, v) in enumerate(state.items())}
    save_file(named, tmp_path / "squeezenet.safetensors")
    return tmp_path / "squeezenet.safetensors"


def pixels(seed: int, side: int = 64) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def test_squeezenet_is_read_by_prefixes_of_names(squeezenet: Path) -> None:
    torch.manual_seed(0)
    expected = SqueezeNet().state_dict()
    read = open_features("squeezenet", squeezenet).state_dict()
    assert all(torch.equal(value, read[name]) for name, value in expected.items())


def test_features_have_squeezenets_sizes(squeezenet: Path) -> None:
    given = open_features("squeezenet", squeezenet)(torch.rand(1, 3, 65, 65))
    assert [tuple(z.shape[1:]) for z in given] == [
        *((64, 32, 32), (128, 15, 15), (256, 7, 7), (384, 3, 3), (384, 3, 3)),
        *((512, 3, 3), (512, 3, 3)),
    ]


def test_squeezenet_refuses_small_pictures(squeezenet: Path) -> None:
    scorer = find_scorers([f"squeezenet={squeezenet}"])["squeezenet"]
    assert scorer(pixels(0, 31), pixels(1, 31), pixels(2, 31), 0) > 0
    with pytest.raises(DataError, match="needs 31×31 pixels within the border, not 30×30"):
        scorer(pixels(0, 34), pixels(1, 34), pixels(2, 34), 2)


@pytest.mark.parametrize("name", ["colour", "niqe"])
def test_a_file_for_a_score_that_takes_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} takes no file"):
        find_scorers([f"{name}=some.npz"])


def test_the_feature_distance_is_that_of_directions() -> None:
    a = [torch.tensor([[[[3.0]], [[4.0]]]]), torch.tensor([[[[1.0]], [[0.0]]]])]
    b = [torch.tensor([[[[6.0]], [[8.0]]]]), torch.tensor([[[[0.0]], [[5.0]]]])]
    torch.testing.assert_close(feature_distance(a, b), torch.tensor(1.0))
    assert feature_distance(a, a) == 0
    torch.testing.assert_close(feature_distance(a, b, (1.0, 3.0)), torch.tensor(1.5))


def test_only_equal_pictures_have_distance_zero(squeezenet: Path) -> None:
    take = find_scorers([f"squeezenet={squeezenet}"])["squeezenet"]
    y = pixels(0)
    assert take(y, y, y, 2) == 0
    assert take(y, pixels(1), y, 2) > 0.001


def test_colour_is_the_largest_shift_of_a_channel() -> None:
    take = find_scorers(["colour"])["colour"]
    x, y_hat = np.full((2, 2, 3), 100, np.uint8), np.full((4, 4, 3), 100, np.uint8)
    y_hat[..., 1] -= 7
    assert take(x, y_hat, y_hat, 2) == 7


def test_optional_scores_are_in_rows_files_and_tables(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Image.fromarray(pixels(0)).save(tmp_path / "set" / "a.png")
    scorers = find_scorers(["colour"])
    row = score(prosr.load("bicubic"), open_benchmark(tmp_path / "set"), 2, PAPER, also=scorers)
    assert row.also == {"colour": row.pictures[0].also["colour"]}
    save_results(tmp_path / "r.json", [row])
    assert read_results(tmp_path / "r.json") == (row,)
    usual, others = score_tables([row])
    assert "colour" not in [column.header for column in usual.columns]
    assert [column.header for column in others.columns][-1] == "colour"


def test_a_picture_too_small_for_a_score_is_named(tmp_path: Path) -> None:
    Image.fromarray(pixels(0)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match="picture small of"):
        benchmark = open_benchmark(tmp_path)
        score(prosr.load("bicubic"), benchmark, 2, PAPER, also=find_scorers(["niqe"]))


def test_missing_files_packages_and_names_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors: there is no such file"):
        find_scorers([f"squeezenet={tmp_path / 'none.safetensors'}"])
    with pytest.raises(ConfigError, match="write squeezenet=FILE"):
        find_scorers(["squeezenet"])
    with pytest.raises(ConfigError, match="did you mean 'niqe'"):
        find_scorers(["nique"])

    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ConfigError, match="pip install torchmetrics torchvision"):
        find_scorers(["lpips"])


@pytest.mark.parametrize("name", ["squeezenet=x.safetensors", "lpips", "dists"])
def test_scores_that_need_pytorch_name_the_extra(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"needs PyTorch; .* pip install 'prosr\[train\]'"):
        find_scorers([name])
    assert find_scorers(["colour", "niqe"]).keys() == {"colour", "niqe"}


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_a_failed_download_is_an_error_before_the_first_picture(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*pictures: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        raise URLError("no route to host")

    monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
    monkeypatch.setattr(image, perceptual._TORCHMETRICS[name], offline, raising=False)
    with pytest.raises(
        CheckpointError, match=f"{name}: cannot download its weights .*no route to host"
    ):
        find_scorers([name])


def test_a_file_that_is_not_squeezenet_is_refused(tmp_path: Path) -> None:
    save_file({"conv1.a": torch.zeros(64)}, tmp_path / "f.safetensors")
    with pytest.raises(CheckpointError, match=r"has no conv1\.weight of SqueezeNet"):
        open_features("squeezenet", tmp_path / "f.safetensors")
    (tmp_path / "f.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="not a file of squeezenet; it is damaged"):
        open_features("squeezenet", tmp_path / "f.safetensors")


def test_the_shared_squeezenet_finds_blur(prosr_data: Path) -> None:

    file = prosr_data / "features" / "squeezenet11.safetensors"
    take = find_scorers([f"squeezenet={file}"])["squeezenet"]
    y = read_rgb(prosr_data / "benchmarks" / "Set5" / "img_001.png")[:128, :128]

    bicubic = prosr.load("bicubic")
    results = [bicubic.upscale(make_input(y, s), s) for s in (2, 4, 8)]
    distances = [take(y, result, y, 8) for result in results]
    assert 0 < distances[0] < distances[1] < distances[2]
