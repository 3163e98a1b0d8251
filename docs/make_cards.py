"""Write model cards beside the bundled networks, and all scores of weights, from results/.

python docs/make_cards.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prosr.checkpoints.weights import Weights, load_weights
from prosr.evaluation.results import Means, Row, merge, read_results, to_json
from prosr.evaluation.tables import to_markdown
from prosr.files import write_rows, write_text
from prosr.nets.cost import trace
from prosr.nets.generator import ProSR
from prosr.scales import SCALES

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src" / "prosr" / "weights"
SCORES = WEIGHTS / "scores.json"
TILE = 128

LIMITS = """\
- It was trained on sharp photographs reduced by bicubic, and undoes just that. Noise, JPEG
  blocks and blur are taken for detail and enlarged with it.
- It was trained for least absolute difference: where the input does not tell, it gives the
  mean of what could be, which is soft. It invents no texture.
- Text, drawings and faces were not weighted specially. Do not use it to find out what a
  face, a number plate or a document says: what it adds is likely, not known.
"""

LIMITS_GAN = """\
- It was trained on sharp pictures reduced by bicubic, and undoes just that. Noise, JPEG
  blocks and blur are taken for detail and enlarged with it.
- It was trained against a discriminator: where the input does not tell, it invents texture
  that is likely and not known. PSNR is lower for it, on purpose; `--strength` takes it back.
- At full strength skin gets specks. At 8 times faces come out wrong, specks lie along edges
  and even surfaces get faint columns: use `prosr-xs` there, or a low strength.
- It ends in back-projection: reduced again, a result is close to its input, colours
  included; the scores above are for sets whose mean consistency is {consistency:.0f} dB or more.
- Do not use it to find out what a face, a number plate or a document says.
"""

SCHEDULES = {
    "curriculum": "curriculum of section 3.4",
    "simultaneous": "all scales at once",
    "single": "one scale",
}


def objective(about: dict[str, Any]) -> str:
    """What the network was trained for, in a table's cell."""
    if not about["recipe"].get("adversarial"):
        return f"mean absolute difference (Eq. 5), {SCHEDULES[about['recipe']['schedule']['kind']]}"
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


def card(weights: Weights, rows: Sequence[Row]) -> str:
    """The model card in Markdown."""
    net, about = weights.net, weights.card
    assert isinstance(net, ProSR), "only ProSR networks are bundled"
    size = net.parameter_count(SCALES[-1])
    cost = " / ".join(f"{2 * TILE**2 * trace(net, s).macs / 1e9:.1f}" for s in SCALES)
    recipe: dict[str, Any] = about["recipe"]
    limits = LIMITS
    if recipe.get("adversarial"):
        limits = LIMITS_GAN.format(consistency=min(row.consistency or 0.0 for row in rows))
    first = about.get("started from", "")
    before = f", after {about['hours before']:.1f} in earlier runs," if first else ""
    drawn = (
        "; `drawings`: made by docs/make_drawings.py" if "drawings" in about["trained on"] else ""
    )
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
        f"| SHA-256 of the parameters | `{weights.sha256}` |",
        "| licence | Apache-2.0 |",
        "",
        "## Data",
        "",
        "`bsds`: BSDS500's train and test parts; `t91`: Yang's 91 pictures; `photos`: photographs",
        f"under free licences{drawn}. Settings were chosen on Kodak's 24 pictures. No benchmark",
        "picture was used for training (BSD100 is BSDS500's val part).",
        "",
        "## Scores",
        "",
        to_markdown(rows, beside=()),
        "",
        "## Limits",
        "",
        limits,
    ]
    return "\n".join(lines)


def known() -> list[Means]:
    """The package's rows: means of all that was scored."""
    paths = [ROOT / "results" / name for name in ("scores.json", "peers.json")]
    rows = [row for path in paths for row in read_results(path)]
    return [Means.model_validate(row.model_dump() | {"pictures": ()}) for row in rows]


if __name__ == "__main__":
    rows = known()
    write_rows(SCORES, map(to_json, merge([], rows)))
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        weights = load_weights(path)
        own = [row for row in rows if row.weights == weights.sha256]
        write_text(path.with_suffix(".md"), card(weights, own))
