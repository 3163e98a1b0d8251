"""A ComfyUI node that enlarges images with prosr, without PyTorch on the way.

docs/programs.md shows how to install it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from prosr.inference.loading import load
from prosr.models import bundled_models
from prosr.scales import SCALES


class UpscaleNode:
    """Enlarges a batch of images, [N, H, W, 3] in [0, 1], ComfyUI's type IMAGE."""

    CATEGORY = "image/upscaling"
    FUNCTION = "upscale"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What ComfyUI offers for each input: a model, a scale and a strength."""
        strength = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}
        return {
            "required": {
                "image": ("IMAGE",),
                "model": (["auto", *bundled_models()], {}),
                "scale": (list(SCALES), {"default": 4}),
                "strength": ("FLOAT", strength | {"tooltip": "texture that a GAN invents"}),
            }
        }

    def upscale(self, image: Any, model: str, scale: int, strength: float) -> tuple[Any]:
        """Enlarge each image of a batch. Takes and returns a tensor, as ComfyUI's nodes do."""
        upscaler = load(model, strength=strength)
        pictures = [upscaler.upscale(picture, scale=scale) for picture in image.cpu().numpy()]
        return (image.new_tensor(np.stack(pictures)),)


NODE_CLASS_MAPPINGS = {"ProSRUpscale": UpscaleNode}
NODE_DISPLAY_NAME_MAPPINGS = {"ProSRUpscale": "Upscale with ProSR"}
