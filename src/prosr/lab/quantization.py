"""Quantizes networks to 8-bit integers for OpenVINO, if they are faster on this machine."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino.passes import ConstantFolding

from prosr.data.benchmarks import Benchmark, Pair
from prosr.errors import ConfigError
from prosr.evaluation.protocol import bounded_psnr, find_protocol
from prosr.evaluation.timing import measure
from prosr.files import explaining
from prosr.images.samples import from_unit, to_unit
from prosr.inference.engines.openvino import OpenVinoEngine, core, int8_path, read_graph
from prosr.inference.tiling import Block
from prosr.models import Model
from prosr.scales import choose_scales

LOSS = 0.03
"""Maximum loss of PSNR against the ground truth in dB."""

_PICTURES = 48
"""Number of pictures: every other one is for calibration, the rest for measuring the loss."""

_SIDE = 64
"""Largest side of the piece that is cut from the middle of each x."""

_TIMED = 160
_ROUNDS = 5


@dataclass(frozen=True)
class Int8Trial:
    """8 bits against the engine's own precision: speed-up, loss in dB, and whether it is kept."""

    speed: float
    loss: float
    kept: bool


def try_int8(
    model: Model,
    scale: int,
    benchmarks: Sequence[Benchmark],
    max_memory: int,
    progress: Callable[[str], None],
) -> Int8Trial:
    """Quantize a model's graph for OpenVINO and keep it in the user's cache if it is better.

    It is better if it is faster and loses at most `LOSS` on the luminance of pictures that were not
    used for calibration. The engine uses it from then on. Raises `ConfigError` for a network
    without this scale or without a residual (Eq. 2), and for too few pictures.
    """
    choose_scales(model.name, model.scales, (scale,))
    graph = model.graphs[scale]
    if not read_graph(graph)[1].may_round:
        raise ConfigError(
            "a network without a residual (Eq. 2) cannot be quantized; use it as it is"
        )
    everything = chain.from_iterable(one.pairs(scale) for one in benchmarks)
    pairs = [_middle(pair, scale) for pair, _ in zip(everything, range(_PICTURES), strict=False)]
    # A crop of one colour may come out exact, with a PSNR that outweighs all others.
    pairs = [(x, y) for x, y in pairs if (y != y[0, 0]).any()]
    if len(pairs) < 8:
        raise ConfigError(f"{len(pairs)} pictures are too few to quantize with; give 8 or more")
    native = OpenVinoEngine(model, max_memory, "native")
    place = int8_path(model, scale)
    with explaining(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = TemporaryDirectory(dir=place.parent, prefix=".")
    with temporary as folder:
        trial = Path(folder) / "trial.xml"
        progress("calibrating")
        _quantize(graph, [_block(x) for x, _ in pairs[::2]], trial)
        progress("comparing")
        int8 = OpenVinoEngine(model, max_memory, trials={scale: trial})
        loss = _score(native, scale, pairs[1::2]) - _score(int8, scale, pairs[1::2])
        seconds = _seconds({"native": native, "int8": int8}, scale)
        speed = seconds["native"] / seconds["int8"]
        # Windows does not move a file that is open.
        del int8
        kept = speed > 1 and loss <= LOSS
        # Remove the .xml first: an orphaned .bin is ignored.
        place.unlink(missing_ok=True)
        if kept:
            for suffix in (".bin", ".xml"):
                trial.with_suffix(suffix).replace(place.with_suffix(suffix))
        else:
            place.with_suffix(".bin").unlink(missing_ok=True)
    return Int8Trial(speed, loss, kept)


def _quantize(graph: Path, inputs: Sequence[Block], new: Path) -> None:
    """Write `graph` to `new` (.xml) with 8-bit convolutions, calibrated on `inputs`.

    The first and the last convolution stay in float32: they cost little and process the picture's
    own values. With them in 8 bits, an earlier prosr-xs lost twice as much. All other operations,
    including φ_s, also stay in float32. Kernels computed from parameters become constants, as NNCF
    needs.
    """
    import nncf

    model = core().read_model(graph)
    ConstantFolding().run_on_model(model)
    operations = model.get_ordered_ops()
    names = [op.get_friendly_name() for op in operations if op.get_type_name() == "Convolution"]
    others = {op.get_type_name() for op in operations} & {"Add", "Multiply", "ReduceSum"}
    ignored = nncf.IgnoredScope(names=[names[0], names[-1]], types=sorted(others))
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(
            model, nncf.Dataset(inputs), ignored_scope=ignored, subset_size=len(inputs)
        )
    openvino.save_model(quantized, new, compress_to_fp16=False)


def _middle(pair: Pair, scale: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    height, width = (min(_SIDE, length) for length in pair.x.shape[:2])
    top, left = (pair.x.shape[0] - height) // 2, (pair.x.shape[1] - width) // 2
    x = pair.x[top : top + height, left : left + width]
    y = pair.y[scale * top : scale * (top + height), scale * left : scale * (left + width)]
    return x, y


def _block(x: NDArray[np.uint8]) -> Block:
    return np.ascontiguousarray(to_unit(x).transpose(2, 0, 1)[None])


def _score(
    engine: OpenVinoEngine, scale: int, pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
) -> float:
    protocol, scores = find_protocol("paper"), []
    for x, y in pairs:
        y_hat = from_unit(engine(_block(x), scale)[0].transpose(1, 2, 0), np.uint8)
        a, b = (protocol.prepare(picture, scale) for picture in (y_hat, y))
        scores.append(bounded_psnr(a, b))
    return fmean(scores)


def _seconds(engines: Mapping[str, OpenVinoEngine], scale: int) -> dict[str, float]:
    """Seconds of the fastest round, which other programs disturb least."""
    x = np.random.default_rng(0).random((1, 3, _TIMED, _TIMED), np.float32)
    subjects = {name: partial(engine, x, scale) for name, engine in engines.items()}
    return {name: min(timing.seconds) for name, timing in measure(subjects, _ROUNDS).items()}
