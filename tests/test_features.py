"""Feature networks: their results and their files."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from feature_files import write_distilled
from prosr.checkpoints import features
from prosr.checkpoints.features import download_missing, open_features
from prosr.errors import CheckpointError
from prosr.images.reading import read_rgb
from prosr.nets.features import VGG16, DistilledVGG19


def vgg_like(path: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {name: 0.05 * torch.randn_like(value) for name, value in VGG16().state_dict().items()}
    torch.save(state | {"classifier.0.bias": torch.zeros(3)}, path)
    return state


def test_vgg16_gives_the_inputs_of_its_first_four_poolings(tmp_path: Path) -> None:
    state = vgg_like(tmp_path / "vgg.pth")
    x = torch.rand(1, 3, 16, 16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    z = (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    expected = {}
    for pool, convs in enumerate(((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)), 1):
        for i in convs:
            z = F.relu(
                F.conv2d(z, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1)
            )
        expected[pool] = z
        z = F.avg_pool2d(z, 2)
    given = open_features("vgg16", tmp_path / "vgg.pth")(x)
    assert given.keys() == {1, 2, 3, 4}
    for k in given:
        torch.testing.assert_close(given[k], expected[k])


@pytest.mark.parametrize("zipped", [True, False])
def test_both_containers_of_torch_save_are_read(tmp_path: Path, zipped: bool) -> None:
    state = VGG16().state_dict()
    torch.save(state, tmp_path / "vgg.pth", _use_new_zipfile_serialization=zipped)
    read = open_features("vgg16", tmp_path / "vgg.pth")
    assert all(torch.equal(value, state[name]) for name, value in read.state_dict().items())
    assert not any(parameter.requires_grad for parameter in read.parameters())


def test_the_distilled_net_gives_features_before_vgg19s_poolings(tmp_path: Path) -> None:
    given = open_features("distilled", write_distilled(tmp_path / "d.safetensors"))(
        torch.rand(2, 3, 32, 16)
    )
    sizes = {1: (2, 16, 32, 16), 2: (2, 32, 16, 8), 3: (2, 64, 8, 4), 4: (2, 128, 4, 2)}
    sizes[5] = (2, 128, 2, 1)
    assert {k: tuple(z.shape) for k, z in given.items()} == sizes


def test_the_distilled_net_has_features_of_unit_strength(prosr_data: Path) -> None:
    net = open_features("distilled", prosr_data / "features" / "vgg19_distilled_16x.safetensors")
    pixels = read_rgb(prosr_data / "benchmarks" / "Set5" / "img_001.png")[:128, :128]
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    given = net(x)
    assert all(0.5 < given[k].square().mean().sqrt() < 2 for k in (1, 2, 3, 4))


@pytest.mark.parametrize("name,place", [("vgg16", "vgg16-397923af"), ("distilled", "MingSun")])
def test_a_missing_file_says_where_to_get_it(tmp_path: Path, name: str, place: str) -> None:
    with pytest.raises(CheckpointError, match=rf"none\.pth: there is no such file .*{place}"):
        open_features(name, tmp_path / "none.pth")


def test_a_file_of_another_net_is_refused(tmp_path: Path) -> None:
    path = write_distilled(tmp_path / "d.safetensors")
    with pytest.raises(CheckpointError, match=r"has no features\.0\.weight of VGG16 that fits"):
        open_features("vgg16", path)
    tensors = load_file(path)
    save_file(tensors | {"conv0.bias": torch.zeros(4)}, path)
    with pytest.raises(CheckpointError, match=r"has no conv0\.bias of DistilledVGG19"):
        open_features("distilled", path)
    save_file(tensors | {"conv0.bias": torch.full((3,), torch.nan)}, path)
    with pytest.raises(CheckpointError, match=r"conv0\.bias holds values that are not finite"):
        open_features("distilled", path)


def test_a_damaged_file_is_one_error(tmp_path: Path) -> None:
    for content in (b"", b"half", b"12345678{"):
        (tmp_path / "f.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"f\.pth: not a file of distilled; it is"):
            open_features("distilled", tmp_path / "f.pth")


def test_a_download_is_kept_only_if_it_is_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_bytes(b"abc")
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    url = (tmp_path / "there").as_uri()
    for sha256 in ("0" * 64, right):
        source = features.FeatureFile(DistilledVGG19, "a place", url, sha256)
        monkeypatch.setitem(features.SOURCES, "vgg16", source)
        if sha256 == right:
            download_missing("vgg16", tmp_path / "here")
        else:
            with pytest.raises(CheckpointError, match="invalid hash"):
                download_missing("vgg16", tmp_path / "here")
            assert not (tmp_path / "here").exists()
    assert (tmp_path / "here").read_bytes() == b"abc"
    (tmp_path / "there").unlink()
    download_missing("vgg16", tmp_path / "here")  # it is there: nothing to fetch


def test_a_failed_download_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = features.FeatureFile(DistilledVGG19, "a place", (tmp_path / "gone").as_uri(), "0")
    monkeypatch.setitem(features.SOURCES, "vgg16", gone)
    with pytest.raises(CheckpointError, match="gone: download failed"):
        download_missing("vgg16", tmp_path / "here")
    with pytest.raises(CheckpointError, match="distilled cannot be downloaded; get"):
        download_missing("distilled", tmp_path / "here")
