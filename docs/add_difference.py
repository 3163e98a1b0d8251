"""Write weights to start a training from: one network plus the difference of two others.

python docs/add_difference.py NETWORK AFTER BEFORE MODEL RESULT.safetensors

The parameters are NETWORK + (AFTER − BEFORE), all of one shape, in the layout of the preset MODEL.
The partner of the result is NETWORK. `progansr-xs` started from prosr-xs + (progansr-xs-real −
prosr-xs-real).
"""

from __future__ import annotations

import sys
from pathlib import Path

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import save_weights
from prosr.config import preset
from prosr.nets.build import build

if __name__ == "__main__":
    network, after, before = map(find, sys.argv[1:4])
    net, was = build(preset(sys.argv[4])), before.net.state_dict()
    own = network.net.state_dict()
    new = {name: own[name] + (value - was[name]) for name, value in after.net.state_dict().items()}
    net.load_state_dict(new)
    started = f"{network.name} + ({after.name} - {before.name})"
    partner = {"model": network.name, "sha256": network.sha256}
    save_weights(Path(sys.argv[5]), net, {"started from": started, "partner": partner})
