"""The options that say how large a result shall be and how it is encoded, for several verbs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

from typer import Option

# fmt: off
REQUEST = {
    "scale": ("NUMBER", "Factor to enlarge by, from 1 to 16 (default: 4)."),
    "width": ("PIXELS", "Width of the result."),
    "height": ("PIXELS", "Height of the result."),
    "long-side": ("PIXELS", "Longer side of the result."),
    "fit": ("WxH", "Largest result within these pixels, such as 3840x2160."),
    "fill": ("WxH", "Result of these pixels, cropped in the middle."),
    "megapixels": ("NUMBER", "Megapixels of the result, at most."),
    "print": ("WxHcm", "Largest result on a print such as 60x40cm or 8x12in, also turned."),
    "dpi": ("NUMBER", "Resolution of --print (default: 300)."),
    "keep-larger": ("", "Do not reduce pictures that are larger than asked."),
    "quality": ("1…100", "Quality of JPEG and lossy WebP (default: 95) and of AVIF (90)."),
    "lossless": ("", "Write WebP and AVIF without loss; PNG and TIFF always are."),
    "subsampling": ("4:4:4|4:2:0", "Colour resolution of JPEG and AVIF (default: 4:4:4, full)."),
    "strip": ("", "Leave out metadata such as place, date and camera; keep colours."),
    "compression": ("NAME", "PNG: 0…9 (default: 6). TIFF: none, lzw, deflate (default)."),
}
"""Names, values and help of the options that make a `prosr.sizes.Request`."""
# fmt: on


def takes_request(
    verb: Callable[..., None], shared: Mapping[str, Parameter] = {}
) -> Callable[..., None]:
    """Give a verb the options in `REQUEST`; it gets them as its argument `size`.

    If it has options `shared` with another verb, it gets their values as its argument `shared`.
    """

    def _command(**values: Any) -> None:
        from prosr.sizes import choose

        wishes = {name: values.pop(name.replace("-", "_")) for name in REQUEST}
        if shared:
            values["shared"] = {name: values.pop(name) for name in shared}
        verb(size=choose(wishes), **values)

    parameters = dict(signature(verb, locals={"Request": Any}, eval_str=True).parameters)
    del parameters["size"]
    if shared:
        del parameters["shared"]
    parameters |= shared
    for name, (metavar, about) in REQUEST.items():
        words = [f"--{name}", *(["-s"] if name == "scale" else [])]
        option, text = Option(*words, metavar=metavar, help=about), bool(metavar)
        kind: Any = Annotated[(str | None if text else bool), option]
        key, default = name.replace("-", "_"), None if text else False
        parameters[key] = Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
    vars(_command)["__signature__"] = Signature(list(parameters.values()))
    _command.__annotations__ = {key: one.annotation for key, one in parameters.items()}
    _command.__name__, _command.__doc__ = verb.__name__, verb.__doc__
    return _command
