"""Files of the nets that look at pictures, as others released them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from prosr.checkpoints import archives
from prosr.checkpoints.tensors import Refused, StoredTensor
from prosr.errors import CheckpointError
from prosr.files import replacing
from prosr.nets.features import VGG16, DistilledVGG19, SqueezeNet

MAX_BYTES = 1 << 30
"""Of a file: VGG16's has 553 MB, most of them for its classifier, which is not needed."""


@dataclass(frozen=True)
class Source:
    """A feature net, and where its file comes from."""

    net: type[nn.Module]
    place: str
    url: str = ""
    sha256: str = ""


SOURCES = {
    "vgg16": Source(
        VGG16,
        "torchvision's VGG16 weights, 553 MB",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "distilled": Source(
        DistilledVGG19,
        "the encoder of trained_models/wct_se_16x_new in "
        "github.com/MingSun-Tse/Collaborative-Distillation",
    ),
}


def open_features(name: str, path: Path) -> nn.Module:
    """The feature net `name` with the weights in `path`: frozen, in evaluation mode.

    `path` is a .pth, in which nothing is executed, or a .safetensors. Raises
    `CheckpointError`, with where to get it for one that is not there.
    """
    source = SOURCES[name]
    if not path.exists():
        more = f"; {source.url} (SHA-256 {source.sha256[:12]}…)" if source.url else ""
        raise CheckpointError(f"{path}: there is no such file for {name}; get {source.place}{more}")
    net = source.net()
    fill(net, path)
    return net.eval().requires_grad_(False)


def open_squeezenet(path: Path) -> SqueezeNet:
    """SqueezeNet 1.1 from a .safetensors file of keras-squeezenet's tensors.

    A layer's tensors are known by where their names begin and by their ranks. Raises
    `CheckpointError`.
    """
    if not path.exists():
        raise CheckpointError(
            f"{path}: there is no such file for SqueezeNet; convert the feature layers of "
            "keras-squeezenet 1.1 to safetensors"
        )
    try:
        stored = load_safetensors(archives.read_bytes(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error
    net = SqueezeNet()
    for name, value in net.state_dict().items():
        layer = name.rpartition(".")[0]
        fits = [t for key, t in stored.items() if key.startswith(f"{layer}.")]
        same = [tensor for tensor in fits if tensor.shape == value.shape]
        if len(same) != 1 or not bool(same[0].isfinite().all()):
            raise CheckpointError(f"{path}: has no {name} of SqueezeNet 1.1")
        value.copy_(same[0])
    return net.eval().requires_grad_(False)


def fill(net: nn.Module, path: Path) -> None:
    """Copy what `net` needs from the tensors in `path`, which may hold more."""
    own = net.state_dict()
    tensors = read_tensors(path, own.keys())
    kind = type(net).__name__
    for name, value in own.items():
        if name not in tensors:
            raise CheckpointError(f"{path}: has no {name}; it is not of {kind}")
        if tensors[name].shape != value.shape or not bool(tensors[name].isfinite().all()):
            raise CheckpointError(f"{path}: {name} does not fit {kind}")
        value.copy_(tensors[name])


def read_tensors(path: Path, names: Collection[str]) -> dict[str, Tensor]:
    """Those tensors of a .safetensors or .pth file that have one of `names`."""
    data = archives.read_bytes(path, MAX_BYTES)
    try:
        if data[8:9] == b"{":
            stored: object = load_safetensors(data)
        else:
            stored = archives.unpack(data)
        if not isinstance(stored, dict):
            raise Refused("it does not hold tensors by their names")
        found = {name: stored[name] for name in names if name in stored}
        made = {k: v.tensor() if isinstance(v, StoredTensor) else v for k, v in found.items()}
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}
    except (Refused, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable file of weights; {error}") from error


def download_missing(name: str, path: Path) -> None:
    """Fetch the file of a feature net to `path` unless there is one.

    Nothing is kept unless it is the right one. Raises `CheckpointError`.
    """
    if path.exists():
        return
    source = SOURCES[name]
    if not source.url:
        raise CheckpointError(f"{path}: {name} cannot be fetched; get {source.place}")
    digest = hashlib.sha256()
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            with urlopen(source.url, timeout=60) as answer:
                while block := answer.read(1 << 20):
                    digest.update(block)
                    file.write(block)
            file.flush()
            if digest.hexdigest() != source.sha256:
                raise CheckpointError(f"{source.url}: gave another file than expected; try again")
    except (URLError, OSError) as error:
        raise CheckpointError(f"{source.url}: cannot be fetched ({error})") from error
