"""Repositories for the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import make_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard

import prosr
from prosr.models import find_weights


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hub.write(tmp_path_factory.mktemp("hub"), "prosr-xs")


def test_it_has_a_card_weights_and_graphs(repository: Path) -> None:
    names = {path.name for path in repository.iterdir()}
    graphs = {f"prosr-xs.x{scale}.onnx" for scale in (2, 4, 8)}
    assert names == {"README.md", "prosr-xs.safetensors"} | graphs


def test_the_hub_reads_its_metadata_and_scores(repository: Path) -> None:
    card = ModelCard.load(repository / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-to-image"
    scores = {
        (one.dataset_name, one.metric_type): one.metric_value for one in card.data.eval_results
    }
    assert scores["Set5 ×2", "psnr"] == 37.56
    assert "## Limits" in card.text
    assert f"#{find_weights('prosr-xs').sha256[:12]}" in card.text


def test_its_weights_load_without_anything_else(repository: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    theirs = prosr.load(repository / "prosr-xs.safetensors").upscale(picture, scale=2)
    assert np.array_equal(theirs, prosr.load("prosr-xs").upscale(picture, scale=2))
