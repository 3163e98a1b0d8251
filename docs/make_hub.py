"""Write a folder for each bundled network as repositories of the Hugging Face Hub have them.

python docs/make_hub.py FOLDER [MODEL...]

FOLDER/MODEL then holds README.md (the model card with the hub's metadata), the weights as
.safetensors, and the graphs as .onnx. `hf upload OWNER/MODEL FOLDER/MODEL` publishes it, and
`prosr.load("hf://OWNER/MODEL")` loads it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from make_cards import SCORES, WEIGHTS, card
from make_tables import PROTOCOL

from prosr.checkpoints.finding import find
from prosr.evaluation.results import ScoreRow, read_results

USE = """\
## Use

```python
import prosr

upscaler = prosr.load("hf://OWNER/{name}")
upscaler.upscale("photo.jpg", scale=4)
```

prosr needs `pip install 'prosr[hub]'` for this. A commit and the first digits of the hash pin what
is loaded: `hf://OWNER/{name}@COMMIT#{digits}`. On the command line:
`prosr upscale photo.jpg --scale 4 --model hf://OWNER/{name}`.

The graphs `{name}.x2.onnx`, `.x4.onnx` and `.x8.onnx` run in ONNX Runtime and OpenVINO. Their
parameters are in `{name}.safetensors`, which must lie beside them. They take RGB in [0, 1] as
float32, [1, 3, H, W], and return the enlarged picture in the same form.

"""


def metadata(name: str, rows: Sequence[ScoreRow], trained_on: Sequence[str]) -> ModelCardData:
    """What the hub shows and searches, with the scores of the protocol `paper`."""
    results = [
        EvalResult(
            task_type="image-to-image",
            dataset_type=row.set.lower(),
            dataset_name=f"{row.set} ×{row.scale}",
            dataset_config=f"x{row.scale}",
            metric_type=metric,
            metric_name=f"{metric.upper()} ({PROTOCOL})",
            metric_value=round(value, digits),
        )
        for row in rows
        if row.protocol == PROTOCOL
        for metric, value, digits in (("psnr", row.psnr, 2), ("ssim", row.ssim or 0.0, 4))
    ]
    return ModelCardData(
        license="apache-2.0",
        library_name="prosr",
        pipeline_tag="image-to-image",
        tags=["super-resolution", "upscaling", "onnx", "safetensors", "openvino"],
        model_name=name,
        eval_results=results,
        trained_on=list(trained_on),
    )


def write(folder: Path, name: str) -> Path:
    """Write one repository; returns its folder, which must be new."""
    weights = find(WEIGHTS / f"{name}.safetensors")
    rows = [row for row in read_results(SCORES) if row.weights == weights.sha256]
    target = folder / name
    target.mkdir(parents=True)
    for path in [WEIGHTS / f"{name}.safetensors", *sorted(WEIGHTS.glob(f"{name}.x*.onnx"))]:
        shutil.copy(path, target)
    title, _, rest = card(weights, rows).partition("\n\n")
    head = metadata(name, rows, weights.card["trained on"]).to_yaml()
    use = USE.format(name=name, digits=weights.sha256[:12])
    about, _, more = rest.partition("## Data")
    text = f"---\n{head}\n---\n\n{title}\n\n{about}{use}## Data{more}"
    (target / "README.md").write_text(text, encoding="utf-8")
    return target


if __name__ == "__main__":
    known = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))
    for one in sys.argv[2:] or known:
        print(write(Path(sys.argv[1]), one))
