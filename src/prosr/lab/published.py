"""Scores that papers print: those of many systems, and ProSR's Tables 1 to 3.

PSNR and gains are in dB, SSIM and PSNR under protocol `paper`: luminance, s pixels cropped.
Bicubic's scores on Set14 come from MATLAB, which scores gray pictures as gray. Converted to RGB,
like everything here, it scores 30.33 / 26.09 / 23.19.
"""

from __future__ import annotations

from dataclasses import dataclass

from prosr.scales import Scale

PROTOCOL = "paper"
PAPER = "ProSR, CVPRW 2018"
SSIM_SOURCE = "EDSR, CVPRW 2017; of SRResNet, SRGAN and DRRN from their own papers"


@dataclass(frozen=True)
class PublishedScores:
    """Scores of one system at one scale on the sets for which they are published.

    `source` published the PSNR, `SSIM_SOURCE` the SSIM.
    """

    model: str
    scale: int
    psnr: dict[str, float]
    source: str
    ssim: dict[str, float]


_Scores = tuple[float | None, ...]
_SETS = ("Set5", "Set14", "BSD100", "Urban100")
_RCAN = "RCAN, ECCV 2018"
_EDSR = "EDSR, CVPRW 2017"
_DRRN = "DRRN, CVPR 2017"
_SRGAN = "SRGAN, CVPR 2017"
_IMDN = "IMDN, ACM MM 2019"
_HAT = "HAT, CVPR 2023"
_MSLAP = "MS-LapSRN, TPAMI 2018"
_PROSR = f"{PAPER}, table 4"

# fmt: off
_SYSTEMS: tuple[tuple[str, int, str, _Scores, _Scores | None], ...] = (
    # model        s  source   PSNR                          SSIM
    ("bicubic",    2, _RCAN,   (33.66, 30.24, 29.56, 26.88), (0.9299, 0.8688, 0.8431, 0.8403)),
    ("SRCNN",      2, _EDSR,   (36.66, 32.42, 31.36, 29.50), (0.9542, 0.9063, 0.8879, 0.8946)),
    ("VDSR",       2, _RCAN,   (37.53, 33.05, 31.90, 30.77), (0.9587, 0.9124, 0.8960, 0.9140)),
    ("DRRN",       2, _DRRN,   (37.74, 33.23, 32.05, 31.23), (0.9591, 0.9136, 0.8973, 0.9188)),
    ("LapSRN",     2, _RCAN,   (37.52, 33.08, 31.80, 30.41), None),
    ("MS-LapSRN",  2, _MSLAP,  (37.78, 33.28, 32.05, 31.15), None),
    ("IMDN",       2, _IMDN,   (38.00, 33.63, 32.19, 32.17), None),
    ("ProSR-s",    2, _PROSR,  (None,  33.36, 32.02, 31.42), None),
    ("EDSR",       2, _RCAN,   (38.11, 33.92, 32.32, 32.93), (0.9601, 0.9195, 0.9013, 0.9351)),
    ("ProSR-l",    2, _PROSR,  (None,  34.00, 32.34, 32.91), None),
    ("RCAN",       2, _RCAN,   (38.27, 34.12, 32.41, 33.34), None),
    ("bicubic",    4, _RCAN,   (28.42, 26.00, 25.96, 23.14), (0.8104, 0.7027, 0.6675, 0.6577)),
    ("SRCNN",      4, _EDSR,   (30.48, 27.49, 26.90, 24.52), (0.8628, 0.7503, 0.7101, 0.7221)),
    ("VDSR",       4, _RCAN,   (31.35, 28.02, 27.29, 25.18), (0.8838, 0.7674, 0.7251, 0.7524)),
    ("DRRN",       4, _DRRN,   (31.68, 28.21, 27.38, 25.44), (0.8888, None, None, None)),
    ("LapSRN",     4, _RCAN,   (31.54, 28.19, 27.32, 25.21), None),
    ("MS-LapSRN",  4, _MSLAP,  (31.74, 28.26, 27.43, 25.51), None),
    ("SRDenseNet", 4, _PROSR,  (None,  28.50, 27.53, 26.05), None),
    ("SRResNet",   4, _SRGAN,  (32.05, 28.49, 27.58, None), (0.9019, 0.8184, 0.7620, None)),
    ("SRGAN",      4, _SRGAN,  (29.40, 26.02, 25.16, None), (0.8472, 0.7397, 0.6688, None)),
    ("IMDN",       4, _IMDN,   (32.21, 28.58, 27.56, 26.04), None),
    ("ProSR-s",    4, _PROSR,  (None,  28.59, 27.58, 26.01), None),
    ("EDSR",       4, _RCAN,   (32.46, 28.80, 27.71, 26.64), (0.8968, 0.7876, 0.7420, 0.8033)),
    ("ProSR-l",    4, _PROSR,  (None,  28.94, 27.79, 26.89), None),
    ("RCAN",       4, _RCAN,   (32.63, 28.87, 27.77, 26.82), None),
    ("HAT",        4, _HAT,    (33.04, 29.23, 28.00, 27.97), None),
    ("bicubic",    8, _RCAN,   (24.40, 23.10, 23.67, 20.74), None),
    ("VDSR",       8, _RCAN,   (25.93, 24.26, 24.49, 21.70), None),
    ("DRRN",       8, _PROSR,  (None,  24.42, 24.59, 21.88), None),
    ("LapSRN",     8, _RCAN,   (26.15, 24.35, 24.54, 21.81), None),
    ("MS-LapSRN",  8, _MSLAP,  (26.34, 24.57, 24.65, 22.06), None),
    ("ProSR-s",    8, _PROSR,  (None,  24.93, 24.80, 22.43), None),
    ("EDSR",       8, _RCAN,   (26.96, 24.91, 24.81, 22.51), None),
    ("ProSR-l",    8, _PROSR,  (None,  25.29, 24.99, 23.04), None),
    ("RCAN",       8, _RCAN,   (27.31, 25.23, 24.98, 23.00), None),
)

# Tables 1 to 3 of the paper; the cells have the names of `prosr.lab.ablation`.
TABLE_1: dict[str, tuple[float, float]] = {
    # cell           Set14 ×4, million parameters
    "block":        (28.30, 8.22),
    "dcus":         (28.32, 1.79),
    "single-x4":    (28.41, 1.89),
    "curriculum":   (28.45, 1.89),
    "very-deep":    (28.94, 13.4),
}

_TABLE_2_SETS = (*_SETS, "DIV2K", "average")
_GAINS: dict[tuple[str, Scale], tuple[float, ...]] = {
    # gain over single-scale training   S5     S14   B100   U100  DIV2K  average over pictures
    ("simultaneous", 2):             (-0.05,  0.01,  0.02,  0.12,  0.06,  0.06),
    ("simultaneous", 4):             ( 0.09,  0.03,  0.01,  0.06, -0.02,  0.02),
    ("simultaneous", 8):             (-0.01,  0.05,  0.03,  0.08,  0.05,  0.05),
    ("curriculum",   2):             ( 0.05,  0.08,  0.07,  0.21,  0.13,  0.13),
    ("curriculum",   4):             ( 0.11,  0.04,  0.03,  0.09,  0.02,  0.05),
    ("curriculum",   8):             ( 0.08,  0.06,  0.05,  0.08,  0.05,  0.06),
}
TABLE_2 = {key: dict(zip(_TABLE_2_SETS, gains, strict=True)) for key, gains in _GAINS.items()}

TABLE_3: dict[tuple[str, Scale, str], tuple[float, float]] = {
    # training, scale, set                ours   alt
    ("single scale", 4, "BSD100"):      (27.44, 27.32),
    ("single scale", 4, "Set14"):       (28.41, 28.20),
    ("multi-scale",  2, "BSD100"):      (31.95, 31.92),
    ("multi-scale",  4, "BSD100"):      (27.47, 27.38),
    ("multi-scale",  8, "BSD100"):      (24.75, 24.70),
    ("multi-scale",  2, "Set14"):       (33.24, 33.22),
    ("multi-scale",  4, "Set14"):       (28.45, 28.28),
    ("multi-scale",  8, "Set14"):       (24.86, 24.76),
}
# fmt: on


def _by_set(scores: _Scores | None) -> dict[str, float]:
    pairs = zip(_SETS, scores or (), strict=scores is not None)
    return {name: value for name, value in pairs if value is not None}


PUBLISHED = tuple(
    PublishedScores(model, scale, _by_set(psnr), source, _by_set(ssim))
    for model, scale, source, psnr, ssim in _SYSTEMS
)
