"""prosr inside ComfyUI and inside programs that use spandrel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import prosr
from prosr.checkpoints.finding import find
from prosr.integrations.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from prosr.models import bundled_models
from prosr.scales import SCALES, Scale


def test_the_node_offers_models_scales_and_strength() -> None:
    (node,) = NODE_CLASS_MAPPINGS.values()
    inputs = node.INPUT_TYPES()["required"]
    assert inputs["model"][0] == ["auto", *bundled_models()]
    assert inputs["scale"][0] == list(SCALES)
    assert NODE_CLASS_MAPPINGS.keys() == NODE_DISPLAY_NAME_MAPPINGS.keys()


def test_the_node_enlarges_a_batch_as_prosr_does() -> None:
    node = NODE_CLASS_MAPPINGS["ProSRUpscale"]()
    images = torch.rand(2, 9, 7, 3)
    (larger,) = getattr(node, node.FUNCTION)(images, "progansr-xs", 2, 0.5)
    assert larger.shape == (2, 18, 14, 3)
    upscaler = prosr.load("progansr-xs", strength=0.5)
    expected = [upscaler.upscale(image, scale=2) for image in images.numpy()]
    np.testing.assert_array_equal(larger.numpy(), np.stack(expected))


@pytest.fixture
def architecture() -> Any:
    """spandrel's real registry; it comes with the extra of its name."""
    pytest.importorskip("spandrel", reason="needs the extra spandrel")
    from prosr.integrations import spandrel

    return spandrel


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["prosr-xs", "progansr-xs"])
def test_spandrel_reads_bundled_files(architecture: Any, name: str, scale: Scale) -> None:
    import spandrel

    weights = find(name)
    registry = spandrel.ArchRegistry()
    registry.add(*spandrel.MAIN_REGISTRY.architectures())
    support = spandrel.ArchSupport.from_architecture(architecture.ProSRArchitecture(scale))
    registry.add(support, ignore_duplicates=True)
    path = prosr.models.find_weights(name).path
    model = spandrel.ModelLoader(registry=registry).load_from_file(path)
    assert (model.architecture.id, model.scale) == ("ProSR", scale)
    x = torch.rand(1, 3, 12, 10)
    # spandrel clips results to [0, 1].
    torch.testing.assert_close(model(x), weights.net(x, scale).clamp(0, 1))


def test_a_layout_of_its_own_is_refused_with_a_remedy(architecture: Any) -> None:
    state = dict(find("prosr-xs").net.state_dict())
    state["v.2.weight"] = torch.zeros(3, 3, 3, 3)
    assert architecture.is_prosr(state)
    with pytest.raises(prosr.errors.CheckpointError, match="prosr export"):
        architecture.find_layout(state)


def test_installing_twice_is_harmless(architecture: Any) -> None:
    import spandrel

    architecture.install()
    architecture.install(scale=2)
    assert "ProSR" in spandrel.MAIN_REGISTRY
