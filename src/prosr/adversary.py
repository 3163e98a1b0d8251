"""Frozen settings of adversarial training (3.3): what a recipe's table `adversarial` holds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from prosr.errors import suggestion
from prosr.layouts import SCALES, Count, Scale, Settings

FEATURE_LAYERS = {"vgg16": 4, "distilled": 5}
"""How many layers each net of features gives."""

SMALLEST = 16
"""Side of the smallest patch of y, which feature nets halve four times."""


Weight = Annotated[float, Field(ge=0)]
"""Of a term of the loss; 0 leaves it out."""


class DiscriminatorConfig(Settings):
    """Layout of a discriminator, the generator's pyramid turned round (3.3).

    `features` are the channels that enter each level u_0, u_1, u_2, and `layers` the number
    of its CONV(3,3); `head` are the widths of those between u_0 and the scores, at the size
    of x. Residuals, a few hundredths strong, are multiplied by `gain`. `spectral` divides
    each kernel by its largest singular value.
    """

    features: tuple[Count, ...] = Field(min_length=1, max_length=len(SCALES))
    layers: tuple[Count, ...]
    head: tuple[Count, ...] = Field(min_length=1)
    gain: float = Field(default=10.0, gt=0)
    spectral: bool = False

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: len(self.features)]

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        if len(self.layers) != len(self.features):
            raise ValueError("layers and features need one entry for each level")
        return self


class SRGANDiscriminatorConfig(Settings):
    """SRGAN's discriminator, `prosr.nets.baselines.srgan`: it judges pictures of `side` pixels."""

    side: Literal[96] = 96

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES


_D = partial(DiscriminatorConfig, spectral=True)
# fmt: off
DISCRIMINATORS: dict[str, DiscriminatorConfig | SRGANDiscriminatorConfig] = {
    # name         layout                                                         parameters
    "progansr-l":  _D(features=(128, 96, 64), layers=(2, 2, 2), head=(256, 256)),  # 1,329,281
    "progansr-xs": _D(features=(32, 24, 16), layers=(1, 1, 1), head=(48, 64, 64)),  # 91,529
    "srgan": SRGANDiscriminatorConfig(),                                           # 23,565,505
}
# fmt: on


class Adversarial(Settings):
    """How a generator is trained against a discriminator (Eq. 3, Eq. 4).

    `layout` changes fields of the preset `discriminator`. `features` names the net of the
    perceptual term and `file` its weights. Weights are of Eq. 4's terms: `gan`, those of pools
    2 and 4 in `perceptual`, `pixel` of Eq. 5; and of what the paper does not have: `distance`,
    `nets.features.feature_distance` of all that the features' net gives, by the weights
    `layers`, and `grid`, `training.losses.grid_loss`. With `views` the features' net sees both
    pictures in a size and an order of channels drawn anew at each step, which is meant to bring
    them nearer to each other for other nets too. In each step the discriminator learns
    `turns` times, from an equal part of the batch each time, then the generator once. The run
    ends when the former has failed for `collapse_after` steps of one scale in a row. Every
    `sheet_every` steps samples are drawn.
    """

    discriminator: str
    layout: dict[str, Any] = Field(default_factory=dict)
    features: Literal["vgg16", "distilled"]
    file: Path
    gan: Weight = 1.0
    perceptual: tuple[Weight, Weight] = (0.5, 2.0)
    distance: Weight = 0.0
    layers: tuple[Weight, ...] | None = None
    views: bool = False
    pixel: Weight = 0.0
    grid: Weight = 0.0
    learning_rate: float = Field(default=1e-4, gt=0)
    turns: int = Field(default=2, gt=0)
    collapse_after: int = Field(default=500, gt=0)
    sheet_every: int = Field(default=1000, gt=0)

    @property
    def net(self) -> DiscriminatorConfig | SRGANDiscriminatorConfig:
        """The discriminator's layout: the preset with the recipe's changes."""
        preset = DISCRIMINATORS[self.discriminator]
        return type(preset).model_validate(preset.model_dump() | self.layout)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.discriminator not in DISCRIMINATORS:
            near = suggestion(self.discriminator, DISCRIMINATORS)
            raise ValueError(f"discriminator: there is no {self.discriminator!r}{near}")
        fields = type(DISCRIMINATORS[self.discriminator]).model_fields
        for key in self.layout:
            if key not in fields:
                raise ValueError(f"layout: unknown key {key!r}{suggestion(key, fields)}")
        try:
            _ = self.net
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, ("layout", *problem["loc"])))
            raise ValueError(f"{place}: {problem['msg']}") from error
        weights = (self.gan, *self.perceptual, self.distance, self.pixel, self.grid)
        if not any(weights):
            raise ValueError("gan: every term of the loss has weight 0; give one of them more")
        given = FEATURE_LAYERS[self.features]
        if self.layers is not None and (len(self.layers) != given or not any(self.layers)):
            raise ValueError(f"layers: {self.features} gives {given}; write a weight for each")
        return self
