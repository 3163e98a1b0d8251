"""Draw how ProSR works, from the bundled prosr-xs itself.

python docs/make_how.py

Writes how-sum.png (Eq. 2), how-levels.svg (the pyramid and its cost), how-features.png (what enters
and leaves each level), how-tiles.png (why the overlap must be as wide as the receptive radius) and
curriculum.svg (when scales open). The photograph is scikit-image's Chelsea, CC0.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import matplotlib
import numpy as np
import torch
from make_figure import GAP, Pixels, labels, open_photograph, repeat, side_by_side
from make_plots import LINES
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from prosr.checkpoints.finding import find
from prosr.config import Recipe, load_recipe
from prosr.lab.plots import COLOURS, STYLE, WIDTH, svg
from prosr.nets.blocks import DenseLayer
from prosr.nets.cost import trace
from prosr.nets.generator import ProSR
from prosr.resample.tensors import upscale
from prosr.scales import SCALES
from prosr.training.curriculum import stage_at

DOCS = Path(__file__).parent
SIDE, TOP, LEFT = 56, 84, 150
"""The shown part of the photograph, in pixels of x."""
MARGIN = 40
"""Pixels around it, so that the borders of the picture do not matter."""


def network() -> ProSR:
    return cast(ProSR, find("prosr-xs").net.eval())


def photograph() -> Tensor:
    """The input with its margin, [1, 3, H, W] in [0, 1]."""
    pixels = open_photograph("chelsea").astype(np.float32) / 255
    part = pixels[TOP - MARGIN : TOP + SIDE + MARGIN, LEFT - MARGIN : LEFT + SIDE + MARGIN]
    return torch.from_numpy(part.transpose(2, 0, 1)[None].copy())


def shown(y: Tensor, scale: int) -> Pixels:
    """The part without its margin, as 8-bit pixels."""
    inner = slice(scale * MARGIN, scale * (MARGIN + SIDE))
    part = y[0, :, inner, inner].permute(1, 2, 0).clamp(0, 1)
    return (part.numpy() * 255 + 0.5).astype(np.uint8)


@torch.no_grad()
def eq_2(net: ProSR) -> Pixels:
    """x, φ_4(x), the residual R_4(x) and their sum."""
    x = photograph()
    residual = net.residual(x, 4)
    pictures = (
        repeat(shown(x, 1), 4),
        shown(upscale(x, 4), 4),
        shown(0.5 + 4 * residual, 4),
        shown(net(x, 4), 4),
    )
    texts = ("the input x", "bicubic of x", "residual R(x), times 4", "their sum")
    return np.concatenate([labels(texts, 4 * SIDE), side_by_side(list(pictures))])


@torch.no_grad()
def features(net: ProSR) -> Pixels:
    """Three feature maps that leave each level, for ×8, and the residual that r makes of them."""
    z, rows = net.enter(photograph(), 8), []
    for level, scale in zip(net.u, SCALES, strict=True):
        z = level(z)
        strongest = z[0].std(dim=(1, 2)).argsort(descending=True)[:3]
        maps = []
        for one in z[0, strongest]:
            gray = (0.5 + one / (6 * one.std())).expand(1, 3, *one.shape)
            maps.append(repeat(shown(gray, scale), 4 // min(scale, 4)))
        residual = shown(0.5 + 4 * net.leave(z, scale), scale)
        maps.append(repeat(residual, 4 // min(scale, 4)))
        rows.append([part[:: max(scale // 4, 1), :: max(scale // 4, 1)] for part in maps])
    texts = tuple(f"{scale} times" for scale in SCALES)
    blank = np.full((4 * SIDE, 60, 3), 255, np.uint8)
    lines = [np.concatenate([blank, side_by_side(row)], axis=1) for row in rows]
    heads = ("feature map", "another", "another", "residual")
    head = np.concatenate([np.full((26, 60, 3), 255, np.uint8), labels(heads, 4 * SIDE)], axis=1)
    gap = np.full((GAP, head.shape[1], 3), 255, np.uint8)
    for line, text in zip(lines, texts, strict=True):
        line[100:126, :60] = labels((text,), 60)
    return np.concatenate([head, *(part for line in lines for part in (line, gap))][:-1])


@torch.no_grad()
def tiles(net: ProSR) -> Pixels:
    """How far tiles differ from the whole picture: without overlap, with half, with all of it."""
    x, radius, scale = photograph(), trace(net, 2).radius, 2
    whole, middle = net(x, scale), x.shape[-1] // 2
    panels, texts = [shown(whole, scale)], ["the whole picture"]
    for halo in (0, radius // 2, radius):
        left = net(x[..., : middle + halo], scale)[..., : scale * middle]
        right = net(x[..., middle - halo :], scale)[..., scale * halo :]
        difference = (torch.cat([left, right], dim=3) - whole).abs()
        panels.append(shown(20 * difference, scale))
        worst = 255 * difference.max().item()
        texts.append(f"overlap {halo}: {worst:.2g}" if worst > 0.001 else f"overlap {halo}: none")
    pictures = [repeat(panel, 2) for panel in panels]
    return np.concatenate([labels(tuple(texts), 4 * SIDE), side_by_side(pictures)])


def levels(net: ProSR) -> str:
    """The levels as bars as wide as their pictures; costs include v and r of each scale."""
    macs = [0, *(trace(net, scale).macs for scale in SCALES)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axis_off()
        for depth, (level, scale) in enumerate(zip(net.u, SCALES, strict=True)):
            size, y = scale / 4, -1.2 * depth
            box = Rectangle((-size, y), 2 * size, 0.7, facecolor="#e8edf3", edgecolor="#1f2430")
            axes.add_patch(box)
            axes.text(0, y + 0.35, f"u{depth}", ha="center", va="center")
            layers = sum(isinstance(part, DenseLayer) for part in level.modules())
            place = f"×{scale // 2}" if depth else "x"
            cost = 2e-3 * (macs[depth + 1] - macs[depth])
            name = "dense layer" if layers == 1 else "dense layers"
            text = f"{layers} {name} on pixels of {place};\n{cost:.0f} kFLOP per pixel of x"
            axes.text(2.5, y + 0.35, text, va="center")
            axes.text(-2.4, y + 0.35, f"×{scale}", va="center", ha="right", weight="bold")
        axes.set_xlim(-3.2, 8.5)
        axes.set_ylim(-2.6, 0.9)
        return svg(figure)


def curriculum(recipe: Recipe) -> str:
    """The blending factor of each scale over the steps."""
    steps = np.linspace(0, recipe.steps - 1, 400, dtype=int)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        axes = figure.add_subplot()
        for scale, line in zip(SCALES, LINES, strict=False):
            stages = [stage_at(int(step), recipe) for step in steps]
            alphas = [
                stage.alpha_of(scale) if scale in stage.scales else np.nan for stage in stages
            ]
            axes.plot(steps, alphas, line, color=COLOURS[scale], label=f"×{scale}", linewidth=2)
        axes.set_xlabel("step of recipes/paper/prosr-l.toml")
        axes.set_ylabel("α, how much of a level is in")
        figure.legend(loc="outside upper center", ncols=3)
        return svg(figure)


def main() -> None:
    """Draw everything."""
    net = network()
    for name, draw in {"how-sum": eq_2, "how-features": features, "how-tiles": tiles}.items():
        Image.fromarray(draw(net)).save(DOCS / f"{name}.png", optimize=True)
    (DOCS / "how-levels.svg").write_text(levels(net), encoding="utf-8")
    recipe = load_recipe(DOCS.parent / "recipes" / "paper" / "prosr-l.toml")
    (DOCS / "curriculum.svg").write_text(curriculum(recipe), encoding="utf-8")


if __name__ == "__main__":
    main()
