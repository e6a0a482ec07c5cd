"""Convolution Kernel (0018,1210): soft tissue or sharp? The makers' names are not coded, so this is a table of them.

What is in no table is unknown, never guessed. Sources:

- Siemens: a family (B body, H and J head, Q, U, I), then a sharpness of two digits. SOMATOM Sensation operating
  instructions, "Body Kernels": 10 to 40 for soft tissue, 50 to 90 sharper, U70 to U90 for bone; the names of
  newer scanners (Hr40, Br64) keep the digits' meaning.
- GE: the algorithms' plain names.
- Philips: A and B body, UA to UC brain; D, E, L and Y are sharp (bone, inner ear, lung).
- Canon and Toshiba: FC and two digits; 0 and 1 body, 2 brain with beam hardening correction, 3 and 8 bone and
  inner ear, 5 lung.
"""

from __future__ import annotations

import re

_SOFT = frozenset(("SOFT", "STANDARD", "STND", "STD", "BRAIN", "A", "B", "UA", "UB", "UC"))
_SHARP = frozenset(("BONE", "BONEPLUS", "BONE+", "EDGE", "LUNG", "DETAIL", "ULTRA", "D", "E", "L", "YC", "YD"))
_CANON = re.compile(r"FC(\d)\d")
_CANON_SOFT, _CANON_SHARP = "012", "358"
_SIEMENS = re.compile(r"[BHIJQU][A-Z]?(\d\d)[A-Z]{0,2}")
_SIEMENS_SOFT_TO, _SIEMENS_SHARP_FROM = 50, 60


def is_soft_tissue(kernel: str) -> bool | None:
    """Whether a kernel is for soft tissue; None where it is in no table.

    Examples
    --------
    >>> [is_soft_tissue(kernel) for kernel in ("H31s", "Hr64", "BONEPLUS", "UB", "FC26", "SYNTHETIC")]
    [True, False, False, True, True, None]
    """
    name = kernel.strip().upper()
    if match := _CANON.fullmatch(name):
        return _between(match[1] in _CANON_SOFT, match[1] in _CANON_SHARP)
    if match := _SIEMENS.fullmatch(name):
        sharpness = int(match[1])
        return _between(sharpness <= _SIEMENS_SOFT_TO, sharpness >= _SIEMENS_SHARP_FROM)
    return _between(name in _SOFT, name in _SHARP)


def _between(soft: bool, sharp: bool) -> bool | None:
    return True if soft else False if sharp else None
