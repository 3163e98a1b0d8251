"""Tables 1 to 3 as the paper prints them (ProSR, CVPRW 2018); nothing here is measured.

PSNR and gains are in dB. Cells are called as in `prosr.lab.ablation`.
"""

from __future__ import annotations

from prosr.scales import Scale

SOURCE = "ProSR, CVPRW 2018"

# fmt: off
TABLE_1: dict[str, tuple[float, float]] = {
    # cell           Set14 ×4, million parameters
    "block":        (28.30, 8.22),
    "dcus":         (28.32, 1.79),
    "single-x4":    (28.41, 1.89),
    "curriculum":   (28.45, 1.89),
    "very-deep":    (28.94, 13.4),
}

_SETS = ("Set5", "Set14", "BSD100", "Urban100", "DIV2K", "average")
_GAINS: dict[tuple[str, Scale], tuple[float, ...]] = {
    # gain over single-scale training   S5     S14   B100   U100  DIV2K  average over pictures
    ("simultaneous", 2):             (-0.05,  0.01,  0.02,  0.12,  0.06,  0.06),
    ("simultaneous", 4):             ( 0.09,  0.03,  0.01,  0.06, -0.02,  0.02),
    ("simultaneous", 8):             (-0.01,  0.05,  0.03,  0.08,  0.05,  0.05),
    ("curriculum",   2):             ( 0.05,  0.08,  0.07,  0.21,  0.13,  0.13),
    ("curriculum",   4):             ( 0.11,  0.04,  0.03,  0.09,  0.02,  0.05),
    ("curriculum",   8):             ( 0.08,  0.06,  0.05,  0.08,  0.05,  0.06),
}
TABLE_2 = {key: dict(zip(_SETS, gains, strict=True)) for key, gains in _GAINS.items()}

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
