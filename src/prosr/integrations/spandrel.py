"""prosr's weights files for programs that read models with spandrel: ComfyUI, chaiNNer."""

from __future__ import annotations

from collections.abc import Mapping

from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor
from torch import Tensor

from prosr.checkpoints.weights import expected, fit, shapes, weights_hash
from prosr.config import PRESETS, net_config
from prosr.errors import CheckpointError
from prosr.layouts import ProSRConfig
from prosr.models import bundled_models, find_weights
from prosr.nets.build import build
from prosr.nets.network import Network
from prosr.scales import Scale


def install(scale: Scale = 4) -> None:
    """Let every `ModelLoader` of this process read prosr's files as models for `scale`.

    A network for other scales is read for its largest. Later calls change nothing.
    """
    support = ArchSupport.from_architecture(ProSRArchitecture(scale))
    MAIN_REGISTRY.add(support, ignore_duplicates=True)


class ProSRArchitecture(Architecture[Network]):  # type: ignore[misc]
    """ProSR networks. A file has several scales, a descriptor of spandrel one: `scale`."""

    def __init__(self, scale: Scale) -> None:
        super().__init__(id="ProSR", detect=is_prosr)
        self.scale = scale

    def load(self, state_dict: Mapping[str, Tensor]) -> ImageModelDescriptor[Network]:
        """Build the network; raises `CheckpointError` if its layout is not known."""
        layout = find_layout(state_dict)
        net = build(layout)
        fit(net, state_dict, "this file")
        scale = self.scale if self.scale in layout.scales else layout.scales[-1]
        return ImageModelDescriptor(
            net,
            net.state_dict(),
            architecture=self,
            purpose="SR",
            tags=[f"{layout.features}nf", *(f"x{known}" for known in layout.scales)],
            supports_half=False,
            supports_bfloat16=True,
            scale=scale,
            input_channels=3,
            output_channels=3,
            call_fn=lambda model, image: model(image, scale),
        )


def is_prosr(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether the tensors have the names of a ProSR network."""
    return {"v.2.weight", "r.2.weight", "u.0.dcus.0.layers.0.conv.weight"} <= state_dict.keys()


def find_layout(state_dict: Mapping[str, Tensor]) -> ProSRConfig:
    """The layout of a bundled model with these tensors, or else of a preset with these shapes.

    spandrel does not pass the file's header on, which states the layout. Raises
    `CheckpointError` if there is none.
    """
    digest, found = weights_hash(state_dict), shapes(state_dict)
    bundled = map(find_weights, bundled_models())
    layouts = [net_config(one.layout) for one in bundled if one.sha256 == digest]
    layouts += [one for one in PRESETS.values() if isinstance(one, ProSRConfig)]
    for layout in layouts:
        if isinstance(layout, ProSRConfig) and expected(layout, lambda name: name) == found:
            return layout
    raise CheckpointError(
        "this ProSR network has a layout of its own, which spandrel cannot pass on; "
        "run it with prosr upscale --model, or export it with prosr export"
    )
