"""What runs in a worker, be it a thread here or a process of a cluster: it loads its models once and only computes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichscope.analyse import analyse_group, run_models
from ichscope.home import keep_volumes
from ichscope.imaging.intake import Group
from ichscope.imaging.series import Finding
from ichscope.models.card import CARD_FILE, ModelCard
from ichscope.models.detector import Detector, Encoding
from ichscope.models.providers import cores
from ichscope.models.registry import default_models_folder, shared_detectors
from ichscope.results import ModelResult, SeriesResult

_MOST_WORKERS = 8

# One study at a time: two would only get in each other's way, while others may be decoded beside.
_turn = threading.Lock()
_loading = threading.Lock()


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker needs to know; small, and may be sent to another process.

    models_folder : as the workers see it
    names : only these models, or () for all
    voxels : whether volumes come back for keeping
    """

    models_folder: Path = field(default_factory=lambda: default_models_folder().resolve())
    names: tuple[str, ...] = ()
    provider: str = "auto"
    voxels: bool = field(default_factory=keep_volumes)

    def cards(self) -> dict[str, ModelCard]:
        """Read the cards of the models, by name.

        Raises
        ------
        ModelError
            if one is no card
        """
        folders = sorted(path.parent for path in self.models_folder.glob(f"*/{CARD_FILE}"))
        return {one.name: ModelCard.read(one) for one in folders if not self.names or one.name in self.names}


def usual_workers() -> int:
    """How many threads this machine has work for: one at a time runs the models, the others decode meanwhile."""
    return min(_MOST_WORKERS, cores() + 1)


def executor(workers: int | None = None) -> ThreadPoolExecutor:
    """Make a pool of threads, as many as usual_workers() if not given."""
    return ThreadPoolExecutor(workers or usual_workers(), "ichscope-worker")


def detectors(setup: WorkerConfig) -> Mapping[str, Detector]:
    """Give this process' models, loaded at the first call.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or one cannot be trusted
    """
    with _loading:
        return _detectors(setup)


@lru_cache(maxsize=1)
def _detectors(setup: WorkerConfig) -> Mapping[str, Detector]:
    loaded = shared_detectors(setup.models_folder, setup.names, setup.provider)
    return {name: _InTurn(detector) for name, detector in loaded.items()}


def analyse(setup: WorkerConfig, group: Group) -> SeriesResult:
    """Analyse one series; without its voxels where these are not kept."""
    result = analyse_group(group, detectors(setup))
    if setup.voxels or result.volume is None:
        return result
    return replace(result, volume=replace(result.volume, hu=np.empty((0, 0, 0), np.int16)))


def score(setup: WorkerConfig, hu: NDArray[np.int16]) -> tuple[dict[str, ModelResult], list[Finding]]:
    """Run the models on (slices, size, size) int16 HU of preprocess.model_input; as run_models gives it."""
    return run_models(hu, detectors(setup))


class _InTurn(Detector):
    """A detector that waits for its turn among all workers of the process, and steps back for people who wait."""

    _background = True

    def __init__(self, loaded: Detector) -> None:
        self.__dict__.update(vars(loaded))

    def encode(
        self,
        hu: NDArray[np.int16],
        progress: Callable[[int, int], None] | None = None,
        micro_batch: int | None = None,
    ) -> Encoding:
        """Run the encoder on one series, alone in this process; heads are quick and wait for nobody."""
        with _turn:
            return super().encode(hu, progress, micro_batch)
