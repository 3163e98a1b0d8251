"""Creates an upscaler from a model's name or file."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from prosr.errors import ConfigError, InferenceError
from prosr.inference.engine import Engine
from prosr.inference.memory import default_memory
from prosr.inference.upscaler import Upscaler
from prosr.models import Model, WeightsFile, find_weights, is_foreign, open_model

ENGINES = ("auto", "openvino", "onnx", "torch")


def load(
    name_or_path: str | Path,
    *,
    max_memory: int | None = None,
    engine: str = "auto",
    ensemble: bool = False,
    strength: float = 1.0,
) -> Upscaler:
    """An upscaler with a bundled model ("prosr-xs", "bicubic") or a weights file.

    `max_memory` is the limit in bytes for the whole process; by default half of the system's free
    memory, at least 512 MB. `engine` is one of `ENGINES`. With `ensemble` results are means over
    flips and quarter turns, and the name gets a plus sign. A `strength` below 1 reduces the texture
    that a GAN invents, 0 removes it; see `prosr.models.find_weights`. Weights files that are not
    bundled are exported once into the user's cache, which needs the extra `train`. Raises
    `CheckpointError` or `ConfigError`.
    """
    chosen = check_engine(engine)
    limit = default_memory() if max_memory is None else max_memory
    if chosen != "torch":
        try:
            model = find_model(name_or_path, strength)
        except InferenceError:
            # The exporter cannot follow every network of another project; PyTorch runs them all.
            if engine != "auto":
                raise
        else:
            return Upscaler(open_engine(model, limit, chosen), model.name, model.sha256, ensemble)
    from prosr.checkpoints.finding import find
    from prosr.inference.engines.torch import TorchEngine, best_device

    weights = find(name_or_path, strength)
    on_torch = TorchEngine(weights.net, limit, best_device())
    upscaler = Upscaler(on_torch, weights.name, weights.sha256, ensemble)
    if chosen != "torch":
        # Refuse a network without a receptive radius now rather than at the first picture.
        upscaler.memory((1, 1), upscaler.scales[0])
    return upscaler


def find_model(name_or_path: str | Path, strength: float = 1.0) -> Model:
    """The graphs of a bundled model, or of a file, which is exported if necessary.

    Raises what `load` raises, and `InferenceError` for a network that cannot be exported.
    """
    path = Path(name_or_path)
    try:
        if not is_foreign(path) or strength != 1:
            return open_model(find_weights(name_or_path, strength), _export)
        from prosr.checkpoints.graphs import open_foreign

        return open_foreign(path)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{path}: must be exported once, which needs torch and onnx; "
            "run: pip install 'prosr[train]'"
        ) from error


def _export(weights: WeightsFile, folder: Path) -> None:
    from prosr.checkpoints.graphs import export_weights

    export_weights(weights, folder)


def installed() -> list[str]:
    """The names of the engines."""
    packages = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}
    return [name for name, package in packages.items() if find_spec(package)]


def check_engine(wanted: str) -> str:
    """Return the name of an engine; "auto" is PyTorch if it finds a GPU, else OpenVINO.

    Raises `ConfigError` for an unknown name, or an engine that is not installed.
    """
    if wanted not in ENGINES:
        raise ConfigError(f"no engine is called {wanted!r}; use one of: {', '.join(ENGINES)}")
    chosen = ("torch" if _has_gpu() else "openvino") if wanted == "auto" else wanted
    if chosen not in installed():
        package = {"onnx": "prosr[onnx]", "torch": "prosr[train]"}.get(chosen, "openvino")
        raise ConfigError(f"engine {chosen} is not installed; run: pip install '{package}'")
    return chosen


def _has_gpu() -> bool:
    """Whether PyTorch is installed and finds a GPU. Imports it only if there may be a GPU."""
    may = sys.platform == "darwin" or bool(shutil.which("nvidia-smi") or shutil.which("rocm-smi"))
    if not (may and find_spec("torch")):
        return False
    from prosr.inference.engines.torch import best_device

    return best_device() != "cpu"


def open_engine(model: Model, max_memory: int, name: str) -> Engine:
    """Create the engine that `check_engine` returned, for a model's graphs."""
    if name == "onnx":
        from prosr.inference.engines.onnx import OnnxEngine

        return OnnxEngine(model, max_memory)
    from prosr.inference.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, max_memory)
