"""Networks released by the authors of ProSR: options and tensor names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from prosr.checkpoints.torchfiles import Refused, Unknown
from prosr.checkpoints.weights import Found, Shape, difference, expected, shapes
from prosr.config import PRESETS
from prosr.errors import printable
from prosr.layouts import ProSRConfig
from prosr.scales import SCALES

RELEASED = ("prosr-l", "prosr-s-2018")
"""Presets whose weights were released."""


def read_prosr(tensors: dict[str, Tensor], options: Mapping[str, object]) -> Found:
    """Return the released network with these tensors and options.

    A file may hold only the first levels of a preset: with one level the network is called
    "prosr-s-2018-x2". Raises `Unknown` for other tensors, and `Refused` for other options.
    """
    name, layout = recognise(shapes(tensors))
    _check_options(options, layout)
    rename = partial(released_name, layout=layout)
    return name, layout, tensors, rename, "released by the authors of ProSR"


def recognise(found: Mapping[str, Shape]) -> tuple[str, ProSRConfig]:
    """Return the name and layout whose tensors have these released names and shapes.

    Raises `Unknown` with the difference from the nearest layout.
    """
    problems = []
    for name, layout in _layouts().items():
        wanted = expected(layout, partial(released_name, layout=layout))
        count, problem = difference(found, wanted)
        if not count:
            return name, layout
        problems.append((count, f"compared with {name}, {problem}"))
    count, problem = min(problems)
    compared = f"; {problem}" if count < len(found) else ""
    raise Unknown(f"it is neither {' nor '.join(RELEASED)}{compared}")


def _layouts() -> dict[str, ProSRConfig]:
    """Each released preset, then its first two levels and its first level by themselves."""
    layouts = {}
    for name in RELEASED:
        preset = PRESETS[name]
        assert isinstance(preset, ProSRConfig)
        layouts[name] = preset
        for levels in (2, 1):
            first = {"dcus": preset.dcus[:levels], "growth": preset.growth[:levels]}
            layouts[f"{name}-x{SCALES[levels - 1]}"] = preset.model_copy(update=first)
    return layouts


def released_name(name: str, layout: ProSRConfig) -> str:
    """Return the released name of our network's tensor `name`; levels there count from 1."""
    side, number, *path, kind = name.split(".")
    if side in ("v", "r"):
        level = int(number).bit_length() - 1
        part = f"init_conv_{level}" if side == "v" else f"reconst_{level}.final_conv"
        return f"{part}.conv.1.{kind}"
    block, dense = "denseblock", "dense"
    if layout.residual:
        block, dense = "residual_denseblock", "dense_block"
    match path:
        case ["upsampler", "conv"]:
            part = "_residual_upsampler.m.0.conv.1"
        case ["entry"]:
            part = f".compression_{number}.conv1"
        case ["cap"]:
            part = ".final_conv.final_comp.conv1"
        case ["conv"]:
            part = ".final_conv.final_conv.conv.1"
        case ["dcus", i, "compression"]:
            part = f".{block}_{int(i) + 1}.comp.conv1"
        case ["dcus", i, "layers", j, conv]:
            layer = f"{dense}.denselayer{int(j) + 1}"
            own = {"squeeze": "conv_1", "conv": "conv_2.conv.1"}[conv]
            part = f".{block}_{int(i) + 1}.{layer}.{own}"
    return f"pyramid_residual_{int(number) + 1}{part}.{kind}"


def parts(content: object) -> tuple[dict[str, Tensor], Mapping[str, object]]:
    """Return the state dict, without DataParallel's prefix, and the generator's options.

    Raises `Unknown` for content of another kind.
    """
    if not isinstance(content, dict):
        raise Unknown("it does not hold a dict with a state_dict")
    state, params = content.get("state_dict", content), content.get("params")
    if not isinstance(state, dict) or not state:
        raise Unknown("it holds no state_dict")
    for name, value in state.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            what = printable(name[:100]) if isinstance(name, str) else type(name).__name__
            raise Unknown(f"its state_dict has {what}, which is no tensor")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): value for name, value in state.items()}
    options = params.get("G") if isinstance(params, dict) else None
    return state, options if isinstance(options, dict) else {}


def _check_options(options: Mapping[str, object], layout: ProSRConfig) -> None:
    """Refuse options that change what the network computes without changing any shape."""
    if options.get("ps_woReLU"):
        raise Refused("its option ps_woReLU removes the upsampler's ReLU, which this network needs")
    factor = options.get("res_factor", layout.residual_scale)
    if layout.residual and factor != layout.residual_scale:
        raise Refused(f"its option res_factor is not {layout.residual_scale}, as ours is")
