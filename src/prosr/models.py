"""Models: find one by name or file, read its weights, interpolate two, locate its graphs.

A weights file is safetensors with the network's layout and model card in its header. A graph
is an ONNX file for one scale, "NAME.x4.onnx", whose parameters lie in the weights file beside
it. Bundled models come with their graphs, and nothing here needs PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from prosr.cache import cached_folder
from prosr.errors import CheckpointError, ConfigError, printable, suggestion
from prosr.hub import fetch, is_address
from prosr.scales import SCALES
from prosr.version import __version__

WEIGHTS_FORMAT = "prosr-weights-1"

FOREIGN_SUFFIXES = (".pth", ".pt", ".ckpt", ".mat")
"""Files of other programs, which `prosr.checkpoints.finding` reads."""

_PACKAGE = Path(str(files("prosr")))
_BUNDLED = _PACKAGE / "weights"
_STRENGTH = re.compile(r"(.+)@([01]|[01]?\.\d+)")

_STORED = ("F32", "F16", "F64", "BF16", "I64")
"""Types of values that are read, as safetensors names them; floats become float32."""

_CARD: dict[str, Any] = {"scales": list, "hours": int | float, "hours before": int | float}
_CARD |= {"partner": dict}
"""Entries of a card that other modules compute with."""

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WeightsFile:
    """Content of a weights file: parameters by name, layout and card as JSON tables.

    `sha256` covers the names, shapes and values of parameters, not the card; it is empty for
    a model without parameters. `path` is the file, or None for a model without one.
    `strength` is below 1 for parameters interpolated with those of the model's partner.
    """

    name: str
    path: Path | None
    tensors: Tensors
    layout: dict[str, Any]
    card: dict[str, Any]
    sha256: str
    strength: float = 1.0


@dataclass(frozen=True)
class Model:
    """A network that is ready to run: its name, and a graph file for each of its scales.

    `sha256` is the hash of its parameters, `size` their number of bytes.
    """

    name: str
    sha256: str
    size: int
    graphs: Mapping[int, Path]

    @property
    def scales(self) -> tuple[int, ...]:
        return tuple(self.graphs)


def bundled_models() -> list[str]:
    """Names of the models that come with this package."""
    return sorted(path.name.removesuffix(".x2.onnx") for path in _BUNDLED.glob("*.x2.onnx"))


def find_weights(name: str | Path, strength: float = 1.0) -> WeightsFile:
    """Read a bundled model by its name, or a .safetensors file by its path.

    `strength` below 1 moves the parameters towards those of the network that a GAN was trained
    from, its partner: 0 returns exactly the partner. The name may end in a strength instead, as in
    "progansr-xs@0.7". Raises `ConfigError` for an unknown name or strength, and `CheckpointError`
    for a file that cannot be used or a model without a partner.
    """
    if (named := _STRENGTH.fullmatch(str(name))) and not os.path.exists(name):
        return find_weights(named[1], float(named[2]) * strength)
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength {strength:g} is not between 0 and 1")
    weights = _find(name)
    return weights if strength == 1 else _interpolated(weights, Path(name), strength)


def weights_name(model: str) -> str:
    """The model's name without strength and ensemble mark: "x" for "x@0.5+"."""
    plain = model.removesuffix("+")
    named = _STRENGTH.fullmatch(plain)
    return named[1] if named else plain


def is_foreign(name: str | Path) -> bool:
    """Whether this names another program's file: by its suffix, or safetensors without our mark."""
    suffix = Path(name).suffix.lower()
    if suffix != ".safetensors":
        return suffix in FOREIGN_SUFFIXES
    try:
        with safe_open(name, framework="np") as stored:
            return not (stored.metadata() or {}).get("format", "").startswith("prosr-")
    # `read_safetensors` explains what is wrong with the file.
    except (OSError, ValueError, SafetensorError):
        return False


def read_weights(path: Path) -> WeightsFile:
    """Read a weights file; nothing in it is executed.

    Raises `CheckpointError` for another kind of file, and for one that is damaged or holds values
    that are not finite.
    """
    tensors, header = read_safetensors(path, WEIGHTS_FORMAT)
    try:
        layout, card = _table(header["config"]), _table(header.get("card", "{}"))
        for key in _CARD.keys() & card.keys():
            if not isinstance(card[key], _CARD[key]):
                raise ValueError(f"card: {key} has another type")
        if not all(scale in SCALES for scale in card.get("scales", ())):
            raise ValueError("card: scales has others than 2, 4 and 8")
    # JSON nested too deeply raises RecursionError.
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its header cannot be used ({error!s:.120}); "
            "it was made by another version of prosr or is damaged; get another copy"
        ) from error
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise CheckpointError(
                f"{path}: {name} holds values that are not finite; get another copy or retrain it"
            )
    return WeightsFile(path.stem, path, tensors, layout, card, weights_hash(tensors))


def _table(text: str) -> dict[str, Any]:
    """A table in JSON whose numbers are finite, or `ValueError`."""
    table = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_number)
    if not isinstance(table, dict):
        raise ValueError("layout and card must be tables")
    return table


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return int(text) if text.lstrip("-").isdigit() else value


def read_safetensors(path: Path, expected: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors and the header of a safetensors file of ours; floats as float32.

    Raises `CheckpointError` unless its header states the `expected` format, and for tensors
    of other types than floating-point numbers and int64.
    """
    try:
        with safe_open(path, framework="np") as stored:
            header = stored.metadata() or {}
            if header.get("format") != expected:
                found = header.get("format", "unknown")
                raise CheckpointError(
                    f"{path}: not of format {expected} but {found!r:.40}; a run's weights are in "
                    "its last.safetensors"
                )
            names = stored.keys()
            return {name: _tensor(path, stored, name) for name in names}, header
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; check its name") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _tensor(path: Path, stored: Any, name: str) -> NDArray[Any]:
    part = stored.get_slice(name)
    if (kind := part.get_dtype()) not in _STORED:
        raise CheckpointError(
            f"{path}: {printable(name[:100])} is stored as {kind}, which is not supported; convert "
            "it to float32, float16 or bfloat16"
        )
    if kind == "BF16":
        # numpy has no bfloat16, which is the upper half of float32.
        begin, end = tensor_places(path)[name]
        halves = np.fromfile(path, "<u2", (end - begin) // 2, offset=begin)
        return (halves.astype(np.uint32) << 16).view(np.float32).reshape(part.get_shape())
    value: NDArray[Any] = stored.get_tensor(name)
    # float64 beyond float32 becomes infinite, which is refused later.
    with np.errstate(over="ignore"):
        return value.astype(np.float32) if kind in ("F16", "F64") else value


def tensor_places(path: Path) -> dict[str, tuple[int, int]]:
    """Start and end of each tensor's bytes in a safetensors file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    first = 8 + length
    return {
        name: (first + entry["data_offsets"][0], first + entry["data_offsets"][1])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def weights_hash(tensors: Tensors) -> str:
    """SHA-256 of the parameters in the order of their names; empty if there are none."""
    if not tensors:
        return ""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        # Types have PyTorch's names, and scalars have no dimensions.
        shape = tensors[name].shape
        digest.update(f"{name} torch.{value.dtype} {tuple(shape)}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def open_model(weights: WeightsFile, export: Callable[[WeightsFile, Path], None]) -> Model:
    """The graphs of a model: those beside its weights file, or in the user's cache.

    `export(weights, folder)` writes graphs for a file whose graphs are not cached yet.
    """
    origin = weights if weights.strength == 1 else _find(weights.path or weights.name)
    if origin.path is None or _has_graphs(origin):
        folder = origin.path.parent if origin.path else _BUNDLED
    else:
        key = cache_key(origin.name, origin.sha256, origin.layout)
        folder = cached_folder(key, lambda new: export(origin, new))
    if weights.strength < 1:
        # Not the key of a file with this name and these parameters: its graphs have other names.
        named = f"{weights.name} of {origin.name}"
        source, key = folder, cache_key(named, weights.sha256, weights.layout)
        folder = cached_folder(key, lambda new: _write_interpolated(weights, source, new))
    paths = {scale: folder / f"{origin.name}.x{scale}.onnx" for scale in SCALES}
    graphs: dict[int, Path] = {scale: path for scale, path in paths.items() if path.exists()}
    if not graphs:
        raise CheckpointError(f"{folder}: holds no graphs of {origin.name}; delete this folder")
    size = sum(value.nbytes for value in weights.tensors.values())
    return Model(weights.name, weights.sha256, size, graphs)


def _has_graphs(weights: WeightsFile) -> bool:
    """Whether graphs that were made for just these parameters lie beside a weights file."""
    assert weights.path is not None
    paths = [weights.path.with_name(f"{weights.name}.x{scale}.onnx") for scale in SCALES]
    found = [path.read_bytes() for path in paths if path.is_file()]
    return bool(found) and all(weights.sha256.encode() in graph for graph in found)


def cache_key(name: str, sha256: str, layout: Mapping[str, Any]) -> str:
    """A name for a model's graphs in the cache: a hash of everything that determines them."""
    shape = json.dumps(layout, sort_keys=True, allow_nan=False)
    what = f"{name} {sha256} {shape} {__version__} {_code()}"
    return hashlib.sha256(what.encode()).hexdigest()[:24]


@cache
def _code() -> str:
    """A hash of the code that graphs are traced from, since it also changes between versions."""
    digest = hashlib.sha256()
    for pattern in ("nets/**/*.py", "resample/*.py", "checkpoints/graphs.py"):
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _find(name: str | Path) -> WeightsFile:
    if is_address(name):
        path, digest = fetch(str(name))
        weights = read_weights(path)
        if not weights.sha256.startswith(digest):
            raise CheckpointError(f"{name}: its parameters have another hash, {weights.sha256}")
        return weights
    path = Path(name)
    if path.suffix.lower() == ".safetensors" and not is_foreign(path):
        return read_weights(path)
    # This accepts names of any length; `Path.exists` does not.
    if os.path.exists(path):
        raise CheckpointError(
            f"{path}: not a weights file of prosr; give a .safetensors file, or without a strength "
            f"a {', '.join(FOREIGN_SUFFIXES)} file"
        )
    if str(name) == "bicubic":
        return WeightsFile("bicubic", None, {}, {"kind": "bicubic"}, {}, "")
    if str(name) in bundled_models():
        return read_weights(_BUNDLED / f"{name}.safetensors")
    if str(name) == "auto":
        raise ConfigError("auto takes a network for each picture; name one, such as prosr-xs-real")
    # Only for the error message: importing the presets is slow.
    from prosr.config import PRESETS

    if str(name) in PRESETS:
        raise CheckpointError(
            f"{name} comes without weights; train it, give a file of weights instead, or use one "
            f"of: {', '.join(bundled_models())}"
        )
    other = suggestion(str(name), PRESETS, bundled_models())
    raise ConfigError(f"no model is called {str(name)!r}{other}")


def _interpolated(weights: WeightsFile, path: Path, strength: float) -> WeightsFile:
    """Network interpolation (Wang et al., ESRGAN, 2018): parameters between two networks'."""
    partner = _partner(weights, path)
    if strength == 0:
        return partner
    ours, theirs = weights.tensors, partner.tensors
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        raise CheckpointError(f"{weights.name} and {partner.name} have different layouts")
    tensors = {
        name: _lerp(theirs[name], value, strength) if value.dtype.kind == "f" else value
        for name, value in ours.items()
    }
    return replace(
        weights,
        name=f"{weights.name}@{strength:g}",
        tensors=tensors,
        sha256=weights_hash(tensors),
        strength=strength,
    )


def _lerp(start: NDArray[Any], end: NDArray[Any], weight: float) -> NDArray[np.float32]:
    """Interpolate from `start` (weight 0) to `end` (weight 1), bit for bit like `torch.lerp`."""
    share, step = np.float32(weight), (end - start).astype(np.float64)
    base, share = (start, share) if share < 0.5 else (end, share - np.float32(1))
    between: NDArray[np.float64] = base + np.float64(share) * step
    return between.astype(np.float32)


def _partner(weights: WeightsFile, path: Path) -> WeightsFile:
    named = weights.card.get("partner")
    if named is None:
        raise CheckpointError(
            f"{weights.name} has one strength only: it was not trained from another network "
            "against a discriminator; remove the strength"
        )
    model, sha256 = str(named.get("model")), str(named.get("sha256"))
    beside, found = path.with_name(f"{Path(model).name}.safetensors"), None
    if path.suffix == ".safetensors" and beside.exists():
        found = _find(beside)
    elif model in bundled_models():
        found = _find(model)
    if found is None or found.sha256 != sha256:
        raise CheckpointError(
            f"{weights.name} was trained from {model} with parameters {sha256[:12]}…, which are "
            f"not here; put that {beside.name} beside it"
        )
    return found


def _write_interpolated(weights: WeightsFile, source: Path, folder: Path) -> None:
    """Copy a model's graphs, with other parameters at the same offsets of the weights file."""
    assert weights.path is not None, "a model without parameters has nothing to interpolate"
    name = f"{weights.path.stem}.safetensors"
    data = bytearray((source / name).read_bytes())
    for key, (begin, end) in tensor_places(source / name).items():
        data[begin:end] = weights.tensors[key].tobytes()
    (folder / name).write_bytes(data)
    for path in source.glob(f"{weights.path.stem}.x*.onnx"):
        shutil.copy(path, folder)
