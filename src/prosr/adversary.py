"""The discriminators' presets and the settings of adversarial training (3.3)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from prosr.errors import ConfigError, suggestion
from prosr.layouts import DiscriminatorConfig, Settings, SRGANDiscriminatorConfig, replaced

FEATURE_LAYERS = {"vgg16": 4, "distilled": 5}
"""Number of layers that each feature network returns."""

SMALLEST = 16
"""Side in pixels of the smallest patch of y; feature networks halve it four times."""

_D = partial(DiscriminatorConfig, spectral=True)
# fmt: off
DISCRIMINATORS: dict[str, DiscriminatorConfig | SRGANDiscriminatorConfig] = {
    # name         layout                                                         parameters
    "progansr-l":  _D(features=(128, 96, 64), layers=(2, 2, 2), head=(256, 256)),  # 1,329,281
    "progansr-xs": _D(features=(32, 24, 16), layers=(1, 1, 1), head=(48, 64, 64)),  # 91,529
    "srgan": SRGANDiscriminatorConfig(),                                           # 23,565,505
}
# fmt: on

_Weight = Annotated[float, Field(ge=0)]


class Adversarial(Settings):
    """How a generator is trained against a discriminator: a recipe's table `adversarial`.

    `layout` replaces fields of the preset `discriminator`. `features` names the feature
    network and `file` its weights.

    Weights of the loss; a term of weight 0 is left out. From Eq. 4: `gan`, and `perceptual`
    for pooling layers 2 and 4. From Eq. 5: `pixel`. Not in the paper: `distance`, for
    `prosr.nets.features.feature_distance` with the weights `layers`, and `grid`, for
    `prosr.training.losses.grid_loss`.

    With `views`, each step resizes both pictures and permutes their channels at random before
    the feature network, so that their features also agree for other networks. In each step
    the discriminator learns `turns` times, each time from an equal part of the batch; then
    the generator learns once. The run ends when the discriminator has been useless for
    `collapse_after` steps of one scale in a row. A sheet of samples is drawn every
    `sheet_every` steps.
    """

    discriminator: str
    layout: dict[str, Any] = Field(default_factory=dict)
    features: Literal["vgg16", "distilled"]
    file: Path
    gan: _Weight = 1.0
    perceptual: tuple[_Weight, _Weight] = (0.5, 2.0)
    distance: _Weight = 0.0
    layers: tuple[_Weight, ...] | None = None
    views: bool = False
    pixel: _Weight = 0.0
    grid: _Weight = 0.0
    learning_rate: float = Field(default=1e-4, gt=0)
    turns: int = Field(default=2, gt=0)
    collapse_after: int = Field(default=500, gt=0)
    sheet_every: int = Field(default=1000, gt=0)

    @property
    def net(self) -> DiscriminatorConfig | SRGANDiscriminatorConfig:
        """The discriminator's layout: the preset with the recipe's changes."""
        if self.discriminator not in DISCRIMINATORS:
            near = suggestion(self.discriminator, DISCRIMINATORS)
            raise ConfigError(f"discriminator: there is no {self.discriminator!r}{near}")
        return replaced(DISCRIMINATORS[self.discriminator], self.layout)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _ = self.net
        if not any((self.gan, *self.perceptual, self.distance, self.pixel, self.grid)):
            raise ValueError("gan: every term of the loss has weight 0; raise one of them")
        count = FEATURE_LAYERS[self.features]
        if self.layers is not None and (len(self.layers) != count or not any(self.layers)):
            raise ValueError(
                f"layers: {self.features} has {count} layers; give a weight for each, not all 0"
            )
        return self
