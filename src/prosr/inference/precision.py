"""Whether bfloat16 pays on this machine."""

from __future__ import annotations

import time
from functools import cache

import torch

_SIDE, _TIMES, _GAIN = 384, 20, 1.2


def has_native_bf16() -> bool:
    """Whether this machine multiplies bfloat16 in hardware; emulation is many times slower."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Not in the older releases of torch that the package runs with.
    asked = getattr(torch.cpu, "get_capabilities", None)
    known: dict[str, object] = asked() if asked else {}
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


@cache
def bf16_pays() -> bool:
    """Whether products of matrices are clearly faster here in bfloat16 than in float32, as timed.

    Hardware for it does not say so: AVX-512 without AMX took twice the time (a Xeon of the
    fifth generation).
    """
    if not has_native_bf16() or torch.cuda.is_available():
        return has_native_bf16()
    # A busy machine delays most products of several threads, and few short ones of one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pairs = [(_seconds(torch.bfloat16), _seconds(torch.float32)) for _ in range(_TIMES)]
    finally:
        torch.set_num_threads(threads)
    return _GAIN * min(bf16 for bf16, _ in pairs) < min(fp32 for _, fp32 in pairs)


def _seconds(kind: torch.dtype) -> float:
    a = torch.ones(_SIDE, _SIDE, dtype=kind)
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start
