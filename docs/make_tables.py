"""Write the tables of results/ into README.md and the documents.

python docs/make_tables.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

from prosr.data.degradations import NAMED
from prosr.errors import ConfigError
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.results import ScoreRow, read_results
from prosr.files import write_text
from prosr.inference.choosing import CLEAN, ROBUST
from prosr.lab import measurements, reports
from prosr.lab import table_4 as tables
from prosr.lab.ablation import ablation
from prosr.lab.engines import PLAIN
from prosr.lab.outcome import read_outcome
from prosr.lab.tables import (
    COLUMNS,
    NOTHING,
    by_protocol,
    markdown,
    psnr_by_set,
    sorted_sets,
    values_of,
    worst_first,
)
from prosr.models import bundled_models
from prosr.scales import SCALES

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PROTOCOL = "paper"
USERS = {"none": 0.1, "jpeg-90": 0.3, "jpeg-75": 0.2, "jpeg-50": 0.05}
USERS |= {"real-1": 0.15, "real-2": 0.15, "real-3": 0.05}
"""Shares of degradations among the pictures of users: an assumption, mostly JPEG 75 to 90."""


def rows() -> list[ScoreRow]:
    """Scores of bundled and converted weights."""
    return [row for path in sorted(RESULTS.glob("*.json")) for row in read_results(path)]


def to_markdown(rows: Sequence[ScoreRow]) -> str:
    """One Markdown table for each protocol among `rows`, with a caption that names it.

    Lines are models, by scale and then from worst to best. Columns are sets.
    """
    return "\n\n".join(_markdown(name, some) for name, some in by_protocol(rows))


def _markdown(protocol: str, rows: Sequence[ScoreRow]) -> str:
    sets = sorted_sets(rows)
    cells = {}
    for row in rows:
        values = values_of(row)
        cells[row.scale, row.model, row.set] = " / ".join(
            values[name] for name in COLUMNS[:2] if name in values
        )
    lines = [
        [f"×{scale}", model, *(cells.get((scale, model, name), NOTHING) for name in sets)]
        for scale, model in worst_first(psnr_by_set(rows))
    ]
    caption = f"PSNR in dB / SSIM; protocol {find_protocol(protocol).describe()}."
    return f"{markdown(['scale', 'model', *sets], lines)}\n\n{caption}"


def scores() -> str:
    """Scores of our models and the bicubic under the papers' protocol."""
    ours = read_results(RESULTS / "scores.json")
    return to_markdown([row for row in ours if row.protocol == PROTOCOL])


SENTENCES = {
    "bicubic": "Interpolation, as in viewers and editors",
    "progansr-xs": "Crisp, for clean inputs: invents texture, as much as `--strength` says",
    "progansr-xs-real": "Crisp, for everyday photographs: invents texture, which is no evidence",
    "prosr-xs": "Closest to the original where the input is clean: PNG, or JPEG of high quality",
    "prosr-xs-real": "Closest to the original for everyday photographs: JPEG, messengers, scans",
}
"""What each bundled model is for."""


def model_table() -> str:
    """The bundled models: what each is for, its quality at ×4 and its speed."""
    clean = {row.model: row for row in read_results(RESULTS / "scores.json") if _at(row, PROTOCOL)}
    degraded = read_results(RESULTS / "degraded" / "scores.json")
    lines = []
    for model in sorted(bundled_models(), key=list(SENTENCES).index):
        ours = [row for row in degraded if row.model == model and row.scale == 4]
        jpeg = next((row for row in ours if _at(row, f"{PROTOCOL}+jpeg-75")), None)
        row = clean.get(model)
        distance = row.also.get("squeezenet") if row else None
        lines.append(
            [
                f"[{model}](src/prosr/weights/{model}.md)" if model != "bicubic" else model,
                SENTENCES[model],
                f"{row.psnr:.2f}" if row else NOTHING,
                f"{jpeg.psnr:.2f}" if jpeg else NOTHING,
                f"{distance:.2f}" if distance else NOTHING,
                seconds_per_megapixel(ours) if ours else NOTHING,
            ]
        )
    head = ["model", "what for", "PSNR, clean", "PSNR, JPEG 75", "distance", "s/MP"]
    caption = (
        "Set14 enlarged 4 times. PSNR in dB on luminance (protocol [`paper`](docs/protocol.md)) "
        "with [clean](results/scores.json) and with [JPEG](results/degraded/scores.json) inputs; "
        "more is better. The distance compares features of a network instead of pixels "
        "([`squeezenet`](docs/gan.md#score)); less is better. s/MP: seconds for a megapixel of the "
        "result on [2 cores of an AMD EPYC](results/speed/bundled.md) without bfloat16."
    )
    return f"{markdown(head, lines)}\n\n{caption}"


def _at(row: ScoreRow, protocol: str) -> bool:
    return (row.set, row.scale, row.protocol) == ("Set14", 4, protocol)


def perceptual() -> str:
    """Perceptual scores of our models and the bicubic."""
    measured = [row for row in read_results(RESULTS / "scores.json") if row.also]
    names = list(dict.fromkeys(name for row in measured for name in row.also))
    lines = [
        [f"×{row.scale}", row.set, row.model, f"{row.psnr:.2f}", f"{row.consistency:.1f}"]
        + [f"{row.also[name]:.3g}" for name in names]
        for row in sorted(measured, key=lambda row: (row.scale, row.set, row.psnr))
    ]
    return markdown(["scale", "set", "model", "PSNR dB", "consistency dB", *names], lines)


def degraded_inputs(weights: str | None = None) -> str:
    """PSNR of networks on degraded inputs, and their time for a megapixel of output.

    Of all networks, or of the one with this hash of its parameters.
    """
    measured = [
        row
        for row in read_results(RESULTS / "degraded" / "scores.json")
        if weights in (None, row.weights)
    ]
    return _by_degradation(measured, lambda row: row.psnr, ".2f", seconds_per_megapixel)


def degraded_distances() -> str:
    """SqueezeNet's distance of networks on degraded inputs."""
    measured = [row for row in read_results(RESULTS / "degraded" / "scores.json") if row.also]
    return _by_degradation(measured, lambda row: row.also["squeezenet"], ".3f")


def _by_degradation(
    measured: Sequence[ScoreRow],
    score: Callable[[ScoreRow], float],
    digits: str,
    seconds: Callable[[Sequence[ScoreRow]], str] | None = None,
) -> str:
    """A table for each set and scale, with a line for each network, by its PSNR with JPEG 75."""
    titles, tables = list(NAMED), []
    for name, scale in product(sorted_sets(measured), SCALES):
        some = [row for row in measured if (row.set, row.scale) == (name, scale)]
        lines = []
        for model in dict.fromkeys(row.model for row in some):
            ours = [row for row in some if row.model == model]
            found = {row.protocol.partition("+")[2] or "none": row for row in ours}
            cells = [f"{score(found[t]):{digits}}" if t in found else NOTHING for t in titles]
            last = [seconds(ours)] if seconds else []
            order = found["jpeg-75"].psnr if "jpeg-75" in found else 0.0
            lines.append((order, [model, *cells, *last]))
        if lines:
            head = [f"{name} ×{scale}", *titles, *(["s/MP"] if seconds else [])]
            tables.append(markdown(head, [line for _, line in sorted(lines)]))
    return "\n\n".join(tables)


def default_network() -> str:
    """PSNR of networks on inputs weighted as pictures of users are, and of `auto`."""
    measured = read_results(RESULTS / "degraded" / "scores.json")
    psnr = {
        (row.set, row.scale, row.model, row.protocol.partition("+")[2] or "none"): row.psnr
        for row in measured
    }
    cases = [(name, scale) for name in sorted_sets(measured) for scale in SCALES]
    lines = []
    for model in [*dict.fromkeys(row.model for row in measured), "auto"]:
        networks = {name: model for name in USERS}
        if model == "auto":
            # A file of JPEG says so, whatever was done before.
            networks = {name: ROBUST if NAMED[name] else CLEAN for name in USERS}
        keys = [[(*case, net, name) for name, net in networks.items()] for case in cases]
        means = [
            sum(USERS[key[-1]] * psnr[key] for key in some) if psnr.keys() >= set(some) else None
            for some in keys
        ]
        if any(means):
            lines.append([model, *(NOTHING if m is None else f"{m:.2f}" for m in means)])
    head = ["network", *(f"{name} ×{scale}" for name, scale in cases)]
    lines.sort(key=lambda line: line[1:])
    return markdown(head, lines)


def seconds_per_megapixel(rows: Sequence[ScoreRow]) -> str:
    """Time for a megapixel of output, as `prosr bench models` measured it on one idle machine."""
    case = f"520×520 ×{rows[0].scale}"
    for row in measurements.read_rows(RESULTS / "speed" / "bundled.json"):
        if (row.case, row.subject) == (case, rows[0].model):
            return f"{row.seconds / (520 * rows[0].scale) ** 2 * 1e6:.2g}"
    return NOTHING


def comparison() -> str:
    """Table 4 with SSIM, and its plots."""
    table = tables.table_4(read_outcome(RESULTS / "compare"), rows())
    texts = [tables.to_markdown(table), tables.to_markdown(table, "ssim")]
    plots = {
        "quality-time.svg": "PSNR against the time for a megapixel",
        "quality-parameters.svg": "PSNR against parameters",
    }
    return "\n\n".join(texts + [_plot("compare", name, what) for name, what in plots.items()])


def tables_1_to_3() -> str:
    """Tables 1 to 3, and Figure 4."""
    known = ablation(read_outcome(RESULTS / "ablation"))
    figure = _plot("ablation", "figure-4.svg", "PSNR over training time")
    return "\n\n".join([reports.to_markdown(known), figure])


def training_step() -> str:
    """Time of a training step, plain and with each change."""
    return measurements.to_markdown(measurements.read_rows(RESULTS / "speed" / "train.json"))


def engines() -> str:
    """Seconds of each engine for each picture, and the speed relative to plain PyTorch."""
    measured = measurements.read_rows(RESULTS / "speed" / "engines.json")
    found = {(row.case, row.subject): row.seconds for row in measured}
    subjects = sorted({row.subject for row in measured}, key=lambda name: (PLAIN not in name, name))
    lines = []
    for case in dict.fromkeys(row.case for row in measured):
        plain = found.get((case, subjects[0]))
        cells = []
        for subject in subjects:
            seconds = found.get((case, subject))
            cell = NOTHING if seconds is None else f"{seconds:.3g}"
            if seconds and plain and subject != subjects[0]:
                cell += f" ({plain / seconds:.1f})"
            cells.append(cell)
        lines.append([case, *cells])
    return markdown(["model and picture", *subjects], lines)


def gan_ablation() -> str:
    """Scores of GANs with and without the curriculum, and statistics of their discriminators."""
    folder = RESULTS / "gan-ablation"
    outcome = read_outcome(folder)
    health = json.loads((folder / "health.json").read_text(encoding="utf-8"))
    columns = ("PSNR dB", "squeezenet", "niqe", "D(r) − D(r̂)", "unsure", "spike", "drift")
    lines = []
    for scale, cell in product(SCALES, dict.fromkeys(run.cell for run in outcome.runs)):
        scored = [
            row for seed in outcome.seeds(cell) for row in outcome.of(cell, seed, scale).values()
        ]
        health_rows = [row for row in health if (row["cell"], row["scale"]) == (cell, scale)]
        values = [[row.psnr for row in scored]]
        values += [[row.also[name] for row in scored] for name in ("squeezenet", "niqe")]
        values += [
            [row[name] for row in health_rows] for name in ("apart", "unsure", "spike", "drift")
        ]
        lines.append([f"×{scale}", cell, *map(_mean_of_seeds, values)])
    return markdown(["scale", "schedule", *columns], lines)


def _mean_of_seeds(values: Sequence[float]) -> str:
    digits = 2 if fmean(values) >= 1 else 3
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def _plot(folder: str, name: str, what: str) -> str:
    exists = (RESULTS / folder / name).is_file()
    return f"![{what}](../results/{folder}/{name})" if exists else ""


def update_table(path: Path, name: str, table: str) -> None:
    """Put `table` between `<!-- begin name -->` and `<!-- end name -->` in a text file.

    Raises `ConfigError` if the file does not have exactly one such pair of lines.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give an existing text file") from error
    between = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    text, found = between.subn(lambda match: f"{match[1]}{table.strip()}\n{match[2]}", text)
    if found != 1:
        raise ConfigError(f"{path} has {found} places for a table; it needs one {begin} … {end}")
    write_text(path, text)


PLACES: tuple[tuple[Path, str, Callable[[], str]], ...] = (
    (ROOT / "README.md", "models", model_table),
    (ROOT / "docs" / "scores.md", "scores", scores),
    (ROOT / "docs" / "baselines.md", "table-4", comparison),
    (ROOT / "docs" / "real.md", "degraded", degraded_inputs),
    (ROOT / "docs" / "real.md", "distances", degraded_distances),
    (ROOT / "docs" / "real.md", "default", default_network),
    (ROOT / "docs" / "ablation.md", "tables", tables_1_to_3),
    (ROOT / "docs" / "gan.md", "scores", perceptual),
    (ROOT / "docs" / "gan.md", "ablation", gan_ablation),
    (ROOT / "docs" / "training.md", "step", training_step),
    (ROOT / "docs" / "engine.md", "engines", engines),
)
"""Where tables are written: the file, the name in its marks, and the table's function."""

if __name__ == "__main__":
    for path, name, table in PLACES:
        update_table(path, name, table())
