"""Score what a GAN ablation made and say how its discriminators fared.

python docs/score_gans.py RUN SQUEEZENET SET...

RUN is the folder that `prosr ablate recipes/gan-ablation.toml --run` trained in. The scores
go into results/gan-ablation/scores.json, what its logs say into health.json beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median

import prosr
from prosr.data.benchmarks import open_benchmark
from prosr.evaluation.perceptual import find_scorers
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.results import save_results
from prosr.evaluation.scoring import score_all
from prosr.files import write_rows
from prosr.lab.outcome import RunRecord, read_outcome
from prosr.training.adversarial import MARGINS

RESULTS = Path(__file__).parents[1] / "results" / "gan-ablation"
LAST = 0.25
"""The part of a run, at its end, over which means are taken."""


def score(folder: Path, squeezenet: str, sets: list[Path]) -> None:
    """Score every finished run's averaged weights at all of its scales."""
    paths = {run.name: folder / run.name / "last.safetensors" for run in read_outcome(RESULTS).runs}
    upscalers = {name: prosr.load(path, engine="torch") for name, path in paths.items()}
    scorers = find_scorers([f"squeezenet={squeezenet}", "niqe", "colour"])
    benchmarks = [open_benchmark(path) for path in sets]
    scales = {name: upscaler.scales for name, upscaler in upscalers.items()}
    protocols = [find_protocol("paper")]
    for row in score_all(upscalers, benchmarks, scales, protocols, print, scorers):
        save_results(RESULTS / "scores.json", [row])


def health(folder: Path, run: RunRecord) -> Iterator[dict[str, object]]:
    """What the log says for each scale; every line in it is a mean over some steps.

    `apart` is D(r) − D(r̂), at the end and at the least; `unsure` the share of the lines in
    which it is too small or too large to teach; `spike` the largest norm of the generator's
    gradient in medians; `drift` the largest difference of a channel's mean, in levels, at the end.
    """
    text = (folder / run.name / "log.jsonl").read_text(encoding="utf-8")
    lines = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "train"]
    for scale in run.recipe.scales:
        own = [line for line in lines if f"loss_x{scale}" in line]
        last = [line for line in own if line["step"] > (1 - LAST) * run.recipe.steps]
        norms = [line[f"gradient_x{scale}"] for line in own]
        apart = [_apart(line, scale) for line in own]
        drifts = [
            abs(fmean(line[f"drift_{channel}_x{scale}"] for line in last)) for channel in "rgb"
        ]
        yield {
            "cell": run.cell,
            "seed": run.seed,
            "scale": scale,
            "apart": round(fmean(_apart(line, scale) for line in last), 4),
            "apart_least": round(min(apart), 4),
            "unsure": round(fmean(not MARGINS[0] < value < MARGINS[1] for value in apart), 4),
            "spike": round(max(norms) / median(norms), 2),
            "drift": round(max(drifts), 3),
        }


def _apart(line: dict[str, float], scale: int) -> float:
    return line[f"d_real_x{scale}"] - line[f"d_fake_x{scale}"]


if __name__ == "__main__":
    trained, features, *benchmarks = sys.argv[1:]
    runs = read_outcome(RESULTS).runs
    write_rows(RESULTS / "health.json", [row for run in runs for row in health(Path(trained), run)])
    score(Path(trained), features, [Path(path) for path in benchmarks])
