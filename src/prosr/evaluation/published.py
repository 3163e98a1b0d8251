"""Figures that other papers print, to stand beside ours; none is measured here.

PSNR in dB and SSIM under protocol `paper` (luminance, s pixels cropped). Bicubic's Set14 figures
come from MATLAB, which scores the gray picture as it is; made RGB first, as everything
here, it gives 30.33 / 26.09 / 23.19.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = "paper"


@dataclass(frozen=True)
class Published:
    """One system at one scale; `psnr` maps the sets that `source` covers to dB.

    `ssim` is known for fewer; it comes from `SSIM_SOURCE`.
    """

    model: str
    scale: int
    psnr: dict[str, float]
    source: str
    ssim: dict[str, float]


_SETS = ("Set5", "Set14", "BSD100", "Urban100")
_RCAN = "RCAN, ECCV 2018"
_EDSR = "EDSR, CVPRW 2017"
_DRRN = "DRRN, CVPR 2017"
_SRGAN = "SRGAN, CVPR 2017"
_IMDN = "IMDN, ACM MM 2019"
_HAT = "HAT, CVPR 2023"
_MSLAPSRN = "MS-LapSRN, TPAMI 2018"
_PROSR = "ProSR, CVPRW 2018, table 4"

# fmt: off
_FIGURES: tuple[tuple[str, int, str, tuple[float | None, ...]], ...] = (
    # model       s  source      Set5   Set14  BSD100 Urban100
    ("bicubic",   2, _RCAN,     (33.66, 30.24, 29.56, 26.88)),
    ("SRCNN",     2, _EDSR,     (36.66, 32.42, 31.36, 29.50)),
    ("VDSR",      2, _RCAN,     (37.53, 33.05, 31.90, 30.77)),
    ("DRRN",      2, _DRRN,     (37.74, 33.23, 32.05, 31.23)),
    ("LapSRN",    2, _RCAN,     (37.52, 33.08, 31.80, 30.41)),
    ("MS-LapSRN", 2, _MSLAPSRN, (37.78, 33.28, 32.05, 31.15)),
    ("IMDN",      2, _IMDN,     (38.00, 33.63, 32.19, 32.17)),
    ("ProSR-s",   2, _PROSR,    (None,  33.36, 32.02, 31.42)),
    ("EDSR",      2, _RCAN,     (38.11, 33.92, 32.32, 32.93)),
    ("ProSR-l",   2, _PROSR,    (None,  34.00, 32.34, 32.91)),
    ("RCAN",      2, _RCAN,     (38.27, 34.12, 32.41, 33.34)),
    ("bicubic",   4, _RCAN,     (28.42, 26.00, 25.96, 23.14)),
    ("SRCNN",     4, _EDSR,     (30.48, 27.49, 26.90, 24.52)),
    ("VDSR",      4, _RCAN,     (31.35, 28.02, 27.29, 25.18)),
    ("DRRN",      4, _DRRN,     (31.68, 28.21, 27.38, 25.44)),
    ("LapSRN",    4, _RCAN,     (31.54, 28.19, 27.32, 25.21)),
    ("MS-LapSRN", 4, _MSLAPSRN, (31.74, 28.26, 27.43, 25.51)),
    ("SRDenseNet", 4, _PROSR,   (None,  28.50, 27.53, 26.05)),
    ("SRResNet",  4, _SRGAN,    (32.05, 28.49, 27.58, None)),
    ("SRGAN",     4, _SRGAN,    (29.40, 26.02, 25.16, None)),
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
SSIM_SOURCE = "EDSR, CVPRW 2017; of SRResNet, SRGAN and DRRN from their own papers"
_SIMILARITIES: dict[tuple[str, int], tuple[float | None, ...]] = {
    # model       s    Set5    Set14   BSD100  Urban100
    ("bicubic",   2): (0.9299, 0.8688, 0.8431, 0.8403),
    ("SRCNN",     2): (0.9542, 0.9063, 0.8879, 0.8946),
    ("VDSR",      2): (0.9587, 0.9124, 0.8960, 0.9140),
    ("DRRN",      2): (0.9591, 0.9136, 0.8973, 0.9188),
    ("EDSR",      2): (0.9601, 0.9195, 0.9013, 0.9351),
    ("bicubic",   4): (0.8104, 0.7027, 0.6675, 0.6577),
    ("SRCNN",     4): (0.8628, 0.7503, 0.7101, 0.7221),
    ("VDSR",      4): (0.8838, 0.7674, 0.7251, 0.7524),
    ("DRRN",      4): (0.8888, None,   None,   None),
    ("SRResNet",  4): (0.9019, 0.8184, 0.7620, None),
    ("SRGAN",     4): (0.8472, 0.7397, 0.6688, None),
    ("EDSR",      4): (0.8968, 0.7876, 0.7420, 0.8033),
}
# fmt: on


def _by_set(figures: tuple[float | None, ...]) -> dict[str, float]:
    return {name: value for name, value in zip(_SETS, figures, strict=True) if value is not None}


PUBLISHED: tuple[Published, ...] = tuple(
    Published(
        model=model,
        scale=scale,
        psnr=_by_set(figures),
        source=source,
        ssim=_by_set(_SIMILARITIES.get((model, scale), (None,) * len(_SETS))),
    )
    for model, scale, source, figures in _FIGURES
)
