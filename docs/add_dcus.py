"""Write a deeper network that computes the same, to train on from.

python docs/add_dcus.py NETWORK DCUS RESULT.safetensors

The first level gets as many DCUs as DCUS says. The new ones have one layer each and lie evenly
between the old ones. Their compressions are zero, so they change no result yet. Their other
kernels are random.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import save_weights
from prosr.layouts import ProSRConfig, replaced
from prosr.nets.build import build

if __name__ == "__main__":
    network, wanted, path = find(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.manual_seed(0)
    layout = network.net.layout
    assert isinstance(layout, ProSRConfig)
    was = layout.dcus[0]
    new = wanted - len(was)
    if new < 1:
        raise SystemExit(f"{network.name} has {len(was)} DCUs already; ask for more")
    # Behind which old DCU each new one lies.
    behind = [int((i + 0.5) * len(was) / new) for i in range(new)]
    places = [i for i in range(len(was)) for _ in range(1 + behind.count(i))]
    first = [places.index(i) for i in range(len(was))]
    layers = tuple(was[i] if at in first else 1 for at, i in enumerate(places))
    net = build(replaced(layout, {"dcus": (layers, *layout.dcus[1:])}))
    old, weights = network.net.state_dict(), net.state_dict()
    for name in weights:
        parts = name.split(".")
        if not name.startswith("u.0.dcus."):
            weights[name] = old[name]
        elif (at := int(parts[3])) in first:
            parts[3] = str(first.index(at))
            weights[name] = old[".".join(parts)]
        elif ".compression." in name:
            weights[name] = torch.zeros_like(weights[name])
    net.load_state_dict(weights)
    save_weights(path, net, {"started from": f"{network.name}, with {wanted} DCUs"})
