"""What every provider is: an execution provider of ONNX Runtime that may be here, under the name that users know."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as state

from ichscope.errors import IchscopeError

# What ONNX Runtime raises; these have no base of their own.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(state.EPFail, state.EngineError, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf),
    *(state.NotImplemented, state.RuntimeException, RuntimeError),
)


class ProviderError(IchscopeError):
    """A provider that was asked for is not there, or cannot run a file."""


@dataclass(frozen=True)
class Provider(ABC):
    """A provider that can run here.

    choice : its name for `--provider`
    label : what results and pages call it
    runtime_name : ONNX Runtime's own name
    int8_label : what it is called with 8-bit weights; "" where it gains nothing from them
    needs_int8 : whether it runs a model's file of 8-bit weights
    on_cpu : whether parts of a micro-batch run side by side on it, each with threads of its own
    """

    choice: str = ""
    label: str = ""
    runtime_name: str = ""
    int8_label: str = ""
    needs_int8: bool = False
    on_cpu: bool = False

    @classmethod
    @abstractmethod
    def find(cls) -> Self | str:
        """Give the provider as this machine has it, or why it does not."""

    @abstractmethod
    def open(self, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
        """Open an ONNX file; `sessions.session` makes the options, checks where it runs and words the errors."""

    def for_int8(self) -> Self | None:
        """Give the same with 8-bit weights, under a name of its own; None where it gains nothing from them."""
        if not self.int8_label:
            return None
        return replace(self, choice=f"{self.choice}-int8", label=self.int8_label, needs_int8=True)


def cores() -> int:
    """Give the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
