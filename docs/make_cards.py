"""Write the bundled networks' model cards, and the package's scores, from results/.

python docs/make_cards.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from make_tables import degraded_inputs, to_markdown

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import Weights
from prosr.evaluation.results import ScoreRow, read_results, save_results
from prosr.files import write_text
from prosr.nets.cost import trace
from prosr.scales import SCALES

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "prosr" / "weights"
SCORES = WEIGHTS / "scores.json"
TILE = 128

LIMITS = """\
- It was trained on sharp photographs downscaled by bicubic, and undoes only that. It treats
  noise, JPEG blocks and blur as detail and enlarges them too.
- It was trained to minimize the mean absolute difference. Where the input leaves several
  possibilities, it returns their average, which is soft. It invents no texture.
- Text, drawings and faces had no special weight in training. Do not use it to find out what a
  face, a number plate or a document shows: the added detail is plausible, not known.
"""

LIMITS_GAN = """\
- It was trained on sharp pictures downscaled by bicubic, and undoes only that. It treats
  noise, JPEG blocks and blur as detail and enlarges them too.
- It was trained against a discriminator. Where the input leaves several possibilities, it
  invents plausible texture. This lowers PSNR on purpose; `--strength` below 1 reduces it.
- At full strength it adds specks to skin. At 8 times it distorts faces and adds specks along
  edges and faint columns on even surfaces: use `prosr-xs` or a low strength there.
- Its last step is back-projection: downscaled again, a result is close to its input, colours
  included. The mean consistency of every set above is at least {consistency:.0f} dB.
- Do not use it to find out what a face, a number plate or a document shows.
"""

LIMITS_REAL = """\
- Its parameters are a mean, three quarters of those after the last step and one quarter of those
  after step 11,190. On Kodak's pictures this mean is within 0.01 dB of the better of the two.
- It was trained on photographs that were downscaled by bicubic and then degraded, most of them by
  JPEG of quality 30 to 95, some by noise, blur or sharpening before. It removes such artefacts, and
  with them fine texture that looks like them. For clean inputs `prosr-xs` is more accurate.
- It was trained to minimize the mean absolute difference. Where the input leaves several
  possibilities, it returns their average, which is soft. It invents no texture.
- It does not know strong blur, scratches, or compression below quality 30.
- Text, drawings and faces had no special weight in training. Do not use it to find out what a
  face, a number plate or a document shows: the added detail is plausible, not known.
"""

LIMITS_GAN_REAL = """\
- Its parameters are 0.85 of those that training gave and 0.15 of those of `prosr-xs-real`. On
  Kodak's pictures with JPEG 75, this is 0.27 dB nearer to the originals, and 1 % further from them
  by SqueezeNet.
- It was trained on pictures that were downscaled by bicubic and then degraded, most of them by
  JPEG of quality 30 to 95. It removes such artefacts.
- It was trained against a discriminator. Where the input leaves several possibilities, it
  invents plausible texture. This lowers PSNR on purpose; `--strength` below 1 reduces it.
- It has no back-projection: downscaled again, a result differs from its input by the artefacts
  that were removed. Mean colours differ by less than a level on every set above.
- At full strength it draws a faint weave on even surfaces, such as skies and walls, and short
  strokes in dark noise. It was trained for a few hours only.
- Do not use it to find out what a face, a number plate or a document shows.
"""

DATA = {
    "bsds": "BSDS500's train and test parts: 400 JPEG files of 481×321 pixels; animals, people, "
    "landscapes and buildings",
    "drawings": "100 drawings made by docs/make_drawings.py",
    "photos": "376 photographs under free licences; mostly landscapes, also cities, textures, "
    "animals, people, food and interiors",
    "t91": "Yang's 91 small pictures",
}
"""What each folder of training pictures holds."""

SCHEDULES = {
    "curriculum": "curriculum of section 3.4",
    "simultaneous": "all scales at once",
    "single": "one scale",
}


def objective(about: dict[str, Any]) -> str:
    """The training objective, for a table's cell."""
    if not about["recipe"].get("adversarial"):
        norm = about["recipe"].get("norm", 1)
        named = {1: "mean absolute difference (Eq. 5)", 2: "root mean square of each patch"}[norm]
        return f"{named}, {SCHEDULES[about['recipe']['schedule']['kind']]}"
    first = f", from {about['partner']['model']}" if "partner" in about else ""
    terms = about["recipe"]["adversarial"]
    chosen = {
        "discriminator": terms["gan"],
        f"perceptual loss of `{terms['features']}`": any(terms["perceptual"]),
        "distance of unit-length features": terms.get("distance"),
        "mean absolute difference": terms["pixel"],
        "grid loss": terms["grid"],
    }
    named = ", ".join(name for name, weight in chosen.items() if weight)
    return f"{named} (Eq. 4 and docs/gan.md){first}"


DEGRADED = """\
PSNR in dB (protocol `paper`) with inputs degraded as docs/protocol.md defines, and seconds for a
megapixel of the result:"""


def degradation(recipe: dict[str, Any]) -> str:
    """How a recipe degrades inputs, for a table's cell."""
    how = recipe["degradation"]
    low, high = how["quality"]
    share = f"{how['clean']:.0%} of the pairs stay clean"
    return f"`{how['kind']}` of docs/training.md, JPEG quality {low} to {high}; {share}"


def card(weights: Weights, rows: Sequence[ScoreRow]) -> str:
    """The model card in Markdown."""
    net, about = weights.net, weights.card
    size = net.parameter_count(SCALES[-1])
    cost = " / ".join(f"{2 * TILE**2 * trace(net, s).macs / 1e9:.1f}" for s in SCALES)
    recipe: dict[str, Any] = about["recipe"]
    degraded = recipe.get("degradation", {}).get("kind", "bicubic") != "bicubic"
    limits = LIMITS_REAL if degraded else LIMITS
    if recipe.get("adversarial"):
        consistency = min(row.consistency or 0.0 for row in rows)
        limits = LIMITS_GAN_REAL if degraded else LIMITS_GAN.format(consistency=consistency)
    first = about.get("started from", "")
    before = f", after {about['hours before']:.1f} in earlier runs," if first else ""
    lines = [
        f"# {weights.name}",
        "",
        "One network that enlarges RGB photographs 2, 4 and 8 times.",
        "",
        "| | |",
        "|---|---|",
        f"| parameters | {size:,} |",
        f"| GFLOP for {TILE}×{TILE} pixels at 2 / 4 / 8 times | {cost} |",
        f"| trained on | {about['pictures']} pictures: {', '.join(about['trained on'])} |",
        f"| steps | {about['steps']:,} of {recipe['steps']:,}, batches of {recipe['batch']} |",
        f"| hours of training | {about['hours']:.1f}{before} on {about['machine']} |",
        *([f"| started from | parameters `{first[:12]}…` of an earlier run |"] if first else []),
        f"| objective | {objective(about)} |",
        *([f"| degradation of inputs | {degradation(recipe)} |"] if degraded else []),
        f"| SHA-256 of the parameters | `{weights.sha256}` |",
        "| licence | Apache-2.0 |",
        "",
        "## Data",
        "",
        *(f"- `{name}`: {DATA[name]}" for name in about["trained on"]),
        "",
        "Inputs were made from them during training, by MATLAB's bicubic. Settings were chosen on",
        "Kodak's 24 pictures. No benchmark picture was used for training (BSD100 is BSDS500's val",
        "part). Landscapes are frequent; text, night shots, medical and satellite pictures are not",
        "among the data, so nothing is known about the quality there. The pictures are not part of",
        "the package.",
        "",
        "## Scores",
        "",
        to_markdown(rows),
        *(["", DEGRADED, "", degraded_inputs(weights.sha256)] if degraded else []),
        "",
        "## Limits",
        "",
        limits,
    ]
    return "\n".join(lines)


def known() -> list[ScoreRow]:
    """The rows that come with the package, with means only."""
    paths = [ROOT / "results" / name for name in ("scores.json", "peers.json")]
    rows = [row for path in paths for row in read_results(path)]
    return [row.model_copy(update={"pictures": ()}) for row in rows]


if __name__ == "__main__":
    rows = known()
    SCORES.unlink(missing_ok=True)
    save_results(SCORES, rows)
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        weights = find(path)
        own = [row for row in rows if row.weights == weights.sha256]
        write_text(path.with_suffix(".md"), card(weights, own))
