"""Figures that other papers print, to stand beside ours; none is measured here.

PSNR in dB under protocol `paper` (luminance, s pixels cropped). Bicubic's Set14 figures
come from MATLAB, which scores the gray picture as it is; made RGB first, as everything
here, it gives 30.33 / 26.09 / 23.19.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = "paper"


@dataclass(frozen=True)
class Published:
    """One system at one scale; `psnr` maps the sets that `source` covers to dB."""

    model: str
    scale: int
    psnr: dict[str, float]
    source: str


_SETS = ("Set5", "Set14", "BSD100", "Urban100")
_RCAN = "RCAN, ECCV 2018"
_IMDN = "IMDN, ACM MM 2019"
_HAT = "HAT, CVPR 2023"
_MSLAPSRN = "MS-LapSRN, TPAMI 2018"
_PROSR = "ProSR, CVPRW 2018, table 4"

# fmt: off
_FIGURES: tuple[tuple[str, int, str, tuple[float | None, ...]], ...] = (
    # model       s  source      Set5   Set14  BSD100 Urban100
    ("bicubic",   2, _RCAN,     (33.66, 30.24, 29.56, 26.88)),
    ("VDSR",      2, _RCAN,     (37.53, 33.05, 31.90, 30.77)),
    ("DRRN",      2, _PROSR,    (None,  33.23, 32.05, 31.23)),
    ("LapSRN",    2, _RCAN,     (37.52, 33.08, 31.80, 30.41)),
    ("MS-LapSRN", 2, _MSLAPSRN, (37.78, 33.28, 32.05, 31.15)),
    ("IMDN",      2, _IMDN,     (38.00, 33.63, 32.19, 32.17)),
    ("ProSR-s",   2, _PROSR,    (None,  33.36, 32.02, 31.42)),
    ("EDSR",      2, _RCAN,     (38.11, 33.92, 32.32, 32.93)),
    ("ProSR-l",   2, _PROSR,    (None,  34.00, 32.34, 32.91)),
    ("RCAN",      2, _RCAN,     (38.27, 34.12, 32.41, 33.34)),
    ("bicubic",   4, _RCAN,     (28.42, 26.00, 25.96, 23.14)),
    ("VDSR",      4, _RCAN,     (31.35, 28.02, 27.29, 25.18)),
    ("DRRN",      4, _PROSR,    (None,  28.21, 27.38, 25.44)),
    ("LapSRN",    4, _RCAN,     (31.54, 28.19, 27.32, 25.21)),
    ("MS-LapSRN", 4, _MSLAPSRN, (31.74, 28.26, 27.43, 25.51)),
    ("IMDN",      4, _IMDN,     (32.21, 28.58, 27.56, 26.04)),
    ("ProSR-s",   4, _PROSR,    (None,  28.59, 27.58, 26.01)),
    ("EDSR",      4, _RCAN,     (32.46, 28.80, 27.71, 26.64)),
    ("ProSR-l",   4, _PROSR,    (None,  28.94, 27.79, 26.89)),
    ("RCAN",      4, _RCAN,     (32.63, 28.87, 27.77, 26.82)),
    ("HAT",       4, _HAT,      (33.04, 29.23, 28.00, 27.97)),
    ("bicubic",   8, _RCAN,     (24.40, 23.10, 23.67, 20.74)),
    ("VDSR",      8, _RCAN,     (25.93, 24.26, 24.49, 21.70)),
    ("DRRN",      8, _PROSR,    (None,  24.42, 24.59, 21.88)),
    ("LapSRN",    8, _RCAN,     (26.15, 24.35, 24.54, 21.81)),
    ("MS-LapSRN", 8, _MSLAPSRN, (26.34, 24.57, 24.65, 22.06)),
    ("ProSR-s",   8, _PROSR,    (None,  24.93, 24.80, 22.43)),
    ("EDSR",      8, _RCAN,     (26.96, 24.91, 24.81, 22.51)),
    ("ProSR-l",   8, _PROSR,    (None,  25.29, 24.99, 23.04)),
    ("RCAN",      8, _RCAN,     (27.31, 25.23, 24.98, 23.00)),
)
# fmt: on

PUBLISHED: tuple[Published, ...] = tuple(
    Published(
        model=model,
        scale=scale,
        psnr={name: db for name, db in zip(_SETS, figures, strict=True) if db is not None},
        source=source,
    )
    for model, scale, source, figures in _FIGURES
)
