"""Released weights files of feature networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn
from torch.hub import download_url_to_file

from prosr.checkpoints import torchfiles
from prosr.checkpoints.torchfiles import Refused
from prosr.errors import CheckpointError
from prosr.nets.features import VGG16, DistilledVGG19, SqueezeNet

MAX_BYTES = 1 << 30
"""VGG16's file has 553 MB, mostly an unused classifier."""


@dataclass(frozen=True)
class FeatureFile:
    """A feature network and where its file comes from."""

    net: type[nn.Module]
    place: str
    url: str = ""
    sha256: str = ""


SOURCES = {
    "vgg16": FeatureFile(
        VGG16,
        "torchvision's VGG16 weights, 553 MB",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "distilled": FeatureFile(
        DistilledVGG19,
        "the encoder of trained_models/wct_se_16x_new in "
        "github.com/MingSun-Tse/Collaborative-Distillation",
    ),
    "squeezenet": FeatureFile(
        SqueezeNet, "the feature layers of keras-squeezenet 1.1, converted to safetensors"
    ),
}


def open_features(name: str, path: Path) -> nn.Module:
    """Return the feature network `name` with the weights in `path`: frozen, in evaluation mode.

    `path` is a .pth, in which nothing is executed, or a .safetensors. It may contain unused
    tensors. A tensor belongs to the layer that its name begins with; its shape determines whether
    it is the weight or the bias. Raises `CheckpointError`.
    """
    source = SOURCES[name]
    if not path.exists():
        link = f"; {source.url} (SHA-256 {source.sha256[:12]}…)" if source.url else ""
        raise CheckpointError(f"{path}: there is no such file for {name}; get {source.place}{link}")
    net = source.net()
    try:
        content = torchfiles.load(path, MAX_BYTES)
        stored = content if isinstance(content, dict) else {}
        for key, value in net.state_dict().items():
            layer, shape = key.rpartition(".")[0], value.shape
            named = {k: t for k, t in stored.items() if str(k)[:99].startswith(f"{layer}.")}
            same = {k: t for k, t in named.items() if getattr(t, "shape", None) == shape}
            if len(same) != 1:
                raise Refused(f"has no {key} of {source.net.__name__} that fits; get another copy")
            torchfiles.check_values(same)
            value.copy_(*same.values())
    except Refused as refusal:
        raise CheckpointError(f"{path}: not a file of {name}; {refusal}") from refusal
    return net.eval().requires_grad_(False)


def download_missing(name: str, path: Path) -> None:
    """Download the file of a feature network to `path` unless it exists.

    Deletes a file with an unexpected hash. Raises `CheckpointError`.
    """
    if path.exists():
        return
    source = SOURCES[name]
    if not source.url:
        raise CheckpointError(f"{path}: {name} cannot be downloaded; get {source.place}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(source.url, str(path), source.sha256, progress=False)
    # A file with an unexpected hash raises RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{source.url}: download failed ({error}); try again") from error
