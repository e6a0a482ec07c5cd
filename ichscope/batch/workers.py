"""What runs in a worker, be it a thread here or a process of a cluster: it loads its models once and only computes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ichscope.analyse import analyse_group, run_models
from ichscope.home import keep_volumes
from ichscope.imaging.intake import Group
from ichscope.imaging.series import Finding
from ichscope.imaging.slabs import Seen
from ichscope.models.card import ModelCard
from ichscope.models.detector import Detector
from ichscope.models.providers import cores
from ichscope.models.registry import REGISTRY, default_models_folder
from ichscope.results import ModelResult, SeriesResult

_MOST_WORKERS = 8


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

    def cards(self) -> Mapping[str, ModelCard]:
        """Give the cards of the models as they are now, by name.

        Raises
        ------
        ModelError
            if one is no card
        """
        return REGISTRY.cards(self.models_folder, self.names)


def usual_workers() -> int:
    """How many threads this machine has work for: one at a time runs the models, the others decode meanwhile."""
    return min(_MOST_WORKERS, cores() + 1)


def executor(workers: int | None = None) -> ThreadPoolExecutor:
    """Make a pool of threads, as many as usual_workers() if not given."""
    return ThreadPoolExecutor(workers or usual_workers(), "ichscope-worker")


def detectors(setup: WorkerConfig) -> Mapping[str, Detector]:
    """Give this process' models, loaded at the first call and anew where a card has changed.

    Raises
    ------
    ModelError
        if there is none, a named one is missing, or one cannot be trusted
    """
    return REGISTRY.get(setup.models_folder, setup.names, setup.provider).detectors


def analyse(setup: WorkerConfig, group: Group, read_only: bool = False) -> SeriesResult:
    """Analyse one series, or read and check it only; without its voxels where these are not kept."""
    result = analyse_group(group, detectors(setup), priority="background", read_only=read_only)
    if setup.voxels or result.volume is None:
        return result
    return replace(result, volume=replace(result.volume, hu=np.empty((0, 0, 0), np.int16)))


def score(setup: WorkerConfig, seen: Seen) -> tuple[dict[str, ModelResult], list[Finding]]:
    """Run the models on what they see of a series; as run_models gives it."""
    return run_models(seen, detectors(setup), priority="background")
