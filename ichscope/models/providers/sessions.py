"""Sessions of ONNX Runtime on a provider: checked to run there, and with the threads shared out among parts."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope.models.providers.base import RUNTIME_ERRORS, Provider, ProviderError, cores

# So many parts of a micro-batch run side by side on CPUs; weights are read once for each.
MOST_STREAMS = 4


def session(path: Path, provider: Provider, threads: int = 0, streams: int = 1) -> ort.InferenceSession:
    """Open an ONNX file on a provider, and make sure that it runs there.

    ONNX Runtime only warns when a provider falls back to the CPU, hence the check.

    Parameters
    ----------
    threads : of all calls together, by default as many as cores; streams : calls that will run side by side on a CPU

    Raises
    ------
    ProviderError
        if the file does not open, or the session runs elsewhere
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = (threads or cores()) // streams
    options.inter_op_num_threads = streams  # the CPU provider needs no telling, OpenVINO takes it from here
    # Threads that wait give their core away at once, to decoding or to another program: no slower alone, faster beside.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        opened = provider.open(path, options)
    except RUNTIME_ERRORS as error:
        raise ProviderError(f"{path}: does not open on {provider.label} ({error})") from None
    if provider.runtime_name not in opened.get_providers():
        raise ProviderError(f"{path}: expected to run on {provider.label}, found {opened.get_providers()}")
    return opened


class Encoder:
    """A slice encoder on a provider. On CPUs the slices of a call are shared out, each part to threads of its own.

    Two threads on two slices waste less than two threads on one slice after the other: nobody waits at every layer.

    Raises
    ------
    ProviderError
        as `session`
    """

    def __init__(self, path: Path, provider: Provider, threads: int = 0) -> None:
        threads = threads or cores()
        self._streams = _most_streams(threads) if provider.on_cpu else 1
        self._session = session(path, provider, threads, self._streams)

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Give outputs for (slices, ...) of its one input, as ONNX Runtime's own `run`."""
        ((name, slices),) = inputs.items()
        size = -(-len(slices) // self._streams)
        if self._streams == 1 or len(slices) <= 1:
            whole: list[NDArray[np.float32]] = self._session.run(outputs, inputs)
            return whole
        parts = (slices[at : at + size] for at in range(0, len(slices), size))
        given = _side_by_side().map(lambda part: self._session.run(outputs, {name: part}), parts)
        return [np.concatenate(output) for output in zip(*given, strict=True)]


def _most_streams(threads: int) -> int:
    """So many that no thread is left over: six threads are three streams of two, not four of one."""
    return max(n for n in range(1, MOST_STREAMS + 1) if threads % n == 0)


@functools.cache
def _side_by_side() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_STREAMS, "encoder-part")
