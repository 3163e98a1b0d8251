"""Write the graphs of the bundled networks, after one was added, or a change to the export.

python docs/make_graphs.py [FOLDER]

FOLDER holds the networks' .safetensors files, by default src/prosr/weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

from prosr.checkpoints.graphs import write_graphs
from prosr.checkpoints.weights import from_file
from prosr.models import find_weights

WEIGHTS = Path(__file__).parents[1] / "src" / "prosr" / "weights"

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    models: list[str | Path] = ["bicubic", *sorted(folder.glob("*.safetensors"))]
    for model in models:
        weights = find_weights(model)
        write_graphs(from_file(weights).net, weights.name, weights.sha256, folder, weights.path)
