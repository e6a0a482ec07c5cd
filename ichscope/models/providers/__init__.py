"""ONNX Runtime execution providers: what is really there, and sessions on them.

A new provider is a module beside these with one class of `Provider`, and its place in `KINDS`.
"""

from __future__ import annotations

import functools

from ichscope.models.providers.base import RUNTIME_ERRORS, Provider, ProviderError, cores
from ichscope.models.providers.cpu import Cpu
from ichscope.models.providers.cuda import Cuda, gpu
from ichscope.models.providers.openvino import OpenVino, has_bf16
from ichscope.models.providers.sessions import Encoder, session
from ichscope.models.providers.tensorrt import TensorRt

__all__ = [
    "KINDS",
    "RUNTIME_ERRORS",
    "Cpu",
    "Cuda",
    "Encoder",
    "OpenVino",
    "Provider",
    "ProviderError",
    "TensorRt",
    "available",
    "choices",
    "choose",
    "cores",
    "for_int8",
    "gpu",
    "has_bf16",
    "missing",
    "session",
]

# In order of preference where nothing is measured; `ichscope.models.autotuning` measures.
KINDS: tuple[type[Provider], ...] = (TensorRt, Cuda, OpenVino, Cpu)


def available() -> tuple[Provider, ...]:
    """Give every provider that can run on this machine, best first."""
    looked_for = map(_find, KINDS)
    return tuple(provider for provider in looked_for if isinstance(provider, Provider))


def missing() -> dict[str, str]:
    """Give the choices that this machine does not have, and why."""
    return {kind.choice: reason for kind in KINDS if isinstance(reason := _find(kind), str)}


def for_int8() -> tuple[Provider, ...]:
    """Give those of `available` that gain from 8-bit weights, under names of their own."""
    return tuple(small for provider in available() if (small := provider.for_int8()))


def choices() -> tuple[str, ...]:
    """Give every name that a provider can be asked for by, whether it is here or not.

    >>> "auto" in choices(), "cpu" in choices(), "cpu-int8" in choices()
    (True, True, True)
    """
    return ("auto", *(kind.choice for kind in KINDS), *(f"{kind.choice}-int8" for kind in KINDS if kind.int8_label))


def choose(choice: str = "auto") -> Provider:
    """Pick a provider by its name, or the one that is usually best.

    Raises
    ------
    ProviderError
        if `choice` is neither "auto" nor there
    """
    there = available()
    if choice == "auto":
        return there[0]
    for provider in (*there, *for_int8()):
        if provider.choice == choice:
            return provider
    names = ", ".join(provider.choice for provider in there)
    raise ProviderError(f"provider {choice!r} is not available on this machine, which has: {names}")


@functools.cache
def _find(kind: type[Provider]) -> Provider | str:
    """A machine does not change while a process runs, and looking registers plugins."""
    return kind.find()
