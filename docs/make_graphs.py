"""Write the graphs of the bundled networks, after one was added, or a change to the export.

python docs/make_graphs.py [FOLDER]

FOLDER holds the networks' .safetensors files, by default src/prosr/weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx

from prosr.checkpoints.graphs import TOLERANCE, check, write_graphs
from prosr.checkpoints.weights import from_file
from prosr.models import find_weights

WEIGHTS = Path(__file__).parents[1] / "src" / "prosr" / "weights"


def share_constants(path: Path) -> None:
    """Keep one of equal constants, of which the exporter writes hundreds."""
    model = onnx.load(path, load_external_data=False)
    first, same = dict[bytes, str](), dict[str, str]()
    for node in model.graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Constant":
            value = node.attribute[0].SerializeToString()
            same[node.output[0]] = first.setdefault(value, node.output[0])
    kept = [one for one in model.graph.node if same.get(one.output[0]) in (None, one.output[0])]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    path.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else WEIGHTS
    models: list[str | Path] = ["bicubic", *sorted(folder.glob("*.safetensors"))]
    for model in models:
        weights = find_weights(model)
        net = from_file(weights).net
        made = write_graphs(net, weights.name, weights.sha256, folder, weights.path)
        for scale, path in made.graphs.items():
            share_constants(path)
            check(path, net, scale, TOLERANCE["fp32"])
