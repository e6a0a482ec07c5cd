"""What a model runs on best here: every provider that is there is tried, and the fastest that agrees is taken.

Agreement is with plain ONNX Runtime in fp32 on the CPU, on a synthetic head with a bleed. What was found is kept below
ICHSCOPE_HOME, by machine, versions and models, so that only the first start takes the time.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.home import home, make
from ichscope.imaging.preprocess import INPUT_SIZE, model_input
from ichscope.models import providers
from ichscope.models.card import ENCODER_FILE, HEAD_FILE, ModelCard
from ichscope.models.providers import RUNTIME_ERRORS, Provider, ProviderError

FOLDER = "providers"
# How far a probability of a slice or a study may be from that of fp32. Rounding to bf16 moved one by 0.017 at most; a
# provider that computes wrongly, as 8-bit weights that overflow, is off by several times the gate.
GATE = 0.05
MICRO_BATCH = 8
MICRO_BATCHES = (4, 8, 16)
_SLICES = 8
_ROUNDS = 3
# Slices a second from which the micro-batch matters; on a slower provider finding out takes longer than it would save.
_FAST = 50.0
_PACKAGES = ("onnxruntime-gpu", "onnxruntime-ep-openvino", "tensorrt")

Probabilities = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Trial:
    """One provider: slices a second, the largest difference of a probability from fp32, or why it cannot be used."""

    choice: str
    label: str
    rate: float | None = None
    difference: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class SelfTest:
    """What was chosen for models that share an encoder, from what, where and when."""

    choice: str
    label: str
    micro_batch: int
    trials: tuple[Trial, ...]
    machine: dict[str, Any]
    tested_at: str

    @property
    def reason(self) -> str:
        """Why this one, in words."""
        usable = [trial for trial in self.trials if not trial.problem]
        if len(usable) == 1:
            return "the only one that can be used"
        return f"the fastest of {len(usable)} whose probabilities are within {GATE:g} of CPU fp32"


def choose(folders: Sequence[Path], again: bool = False) -> SelfTest:
    """Choose for model folders that share one encoder, as last time where nothing has changed.

    Parameters
    ----------
    folders : the one with the most labels first; its encoder is what is timed
    again : measure anew

    Raises
    ------
    ProviderError
        if the models do not run on the CPU in fp32, with which the others are compared
    ModelError
        if a card cannot be read, or files do not match it
    """
    cards = [ModelCard.read(folder) for folder in folders]
    candidates = _candidates(folders[0], cards[0])
    file = home() / FOLDER / f"{_key([cards[0].encoder_card(folders[0]), *cards], candidates)}.json"
    if not again and (saved := _read(file)):
        return saved
    self_test = _try(folders, cards, candidates)
    with suppress(OSError):  # without a place to keep it, it is measured at every start
        make(file.parent)
        with replacing(file) as part:
            part.write_text(json.dumps(asdict(self_test), indent=2) + "\n", encoding="utf-8")
    return self_test


def machine() -> dict[str, Any]:
    """What decides how fast a provider is: processor with its flags, cores, graphics cards, versions."""
    try:
        cpu = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        cpu = ""
    name, flags = (re.search(rf"^{what}\s*:\s*(.+)$", cpu, re.MULTILINE) for what in ("model name", "flags"))
    devices = (endpoint.device for endpoint in ort.get_ep_devices())
    cards = sorted({str(device.vendor) for device in devices if device.type == ort.OrtHardwareDeviceType.GPU})
    return {
        "processor": name[1] if name else platform.processor(),
        "flags": _digest(sorted(flags[1].split()) if flags else []),
        "cores": providers.cores(),
        "graphics cards": [*cards, providers.gpu()] if cards else [],
        "instructions": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def encoder_file(folder: Path, card: ModelCard, provider: Provider) -> Path:
    """The file that a provider runs.

    Raises
    ------
    ProviderError
        if that is the one of 8-bit weights, and it is not there
    """
    if not provider.needs_int8:
        return card.encoder_folder(folder) / ENCODER_FILE
    if (path := card.int8_file(folder)) is None:
        raise ProviderError(f"{folder}: expected a file of 8-bit weights that the card knows, found none")
    return path


def _candidates(folder: Path, card: ModelCard) -> tuple[Provider, ...]:
    return (*providers.available(), *(providers.for_int8() if card.int8_file(folder) else ()))


def _key(cards: Iterable[ModelCard], candidates: Iterable[Provider]) -> str:
    files = [
        [card.sha256.get(ENCODER_FILE), card.sha256.get(HEAD_FILE), card.int8 and card.int8.sha256] for card in cards
    ]
    return _digest([machine(), files, [provider.label for provider in candidates], GATE])[:32]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _read(file: Path) -> SelfTest | None:
    """What was found before, if it can be read; anything else is measured again."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return SelfTest(**{**raw, "trials": tuple(Trial(**trial) for trial in raw["trials"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


# ---- the trial itself --------------------------------------------------------------------------------------


def _try(folders: Sequence[Path], cards: Sequence[ModelCard], candidates: Sequence[Provider]) -> SelfTest:
    for folder, card in zip(folders, cards, strict=True):
        card.verify(folder)
    hu = _head()
    opened, problems = _open(folders[0], cards[0], candidates)
    differences = _compare(opened, folders, hu, problems)
    usable = [provider for provider in candidates if provider.choice not in problems]
    rates = _rates({provider.choice: opened[provider.choice] for provider in usable}, hu)
    best = max(usable, key=lambda provider: rates[provider.choice])
    trials = [
        Trial(c.choice, c.label, rates.get(c.choice), differences.get(c.choice), problems.get(c.choice, ""))
        for c in candidates
    ]
    return SelfTest(
        best.choice,
        best.label,
        _micro_batch(opened[best.choice], hu) if rates[best.choice] > _FAST else MICRO_BATCH,
        tuple(sorted(trials, key=lambda trial: -(trial.rate or 0))),
        machine(),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _head() -> NDArray[np.int16]:
    """(slices, 224, 224) int16 HU of a synthetic head that bleeds on some slices."""
    from ichscope import phantom  # only a first start needs it

    # Half the size is painted in a quarter of the time, and is as good for a comparison.
    made = phantom.make("intraparenchymal", seed=1, slices=_SLICES, size=INPUT_SIZE // 2)
    return model_input(made.hu, made.spacing_mm[1:])[0]


def _open(
    folder: Path, card: ModelCard, candidates: Iterable[Provider]
) -> tuple[dict[str, providers.Encoder], dict[str, str]]:
    """Open the encoder on every provider; gives sessions, and problems of those that do not, by choice."""
    opened: dict[str, providers.Encoder] = {}
    problems: dict[str, str] = {}
    for provider in candidates:
        try:
            opened[provider.choice] = providers.Encoder(encoder_file(folder, card, provider), provider)
        except ProviderError as error:
            problems[provider.choice] = str(error)
    if "cpu" not in opened:  # there is nothing to compare with
        raise ProviderError("; ".join(problems.values()))
    return opened, problems


def _compare(
    opened: Mapping[str, providers.Encoder],
    folders: Iterable[Path],
    hu: NDArray[np.int16],
    problems: dict[str, str],
) -> dict[str, float]:
    """How far each provider is from fp32 on the CPU; one that fails or is too far off gets a problem."""
    heads = [providers.session(folder / HEAD_FILE, providers.choose("cpu")) for folder in folders]
    expected = _answer(opened["cpu"], heads, hu)
    differences: dict[str, float] = {}
    for choice, encoder in opened.items():
        try:
            differences[choice] = _difference(_answer(encoder, heads, hu), expected)
        except RUNTIME_ERRORS as error:
            problems[choice] = str(error)
            continue
        if not differences[choice] <= GATE:
            off = f"{differences[choice]:.3f}"
            problems[choice] = f"a probability differs by {off} from that of CPU fp32, allowed are {GATE:g}"
    return differences


def _answer(encoder: providers.Encoder, heads: Sequence[ort.InferenceSession], hu: NDArray[np.int16]) -> Probabilities:
    """Every probability that the models give: of slices, and of the study.

    The evidence may change more: it is a picture, and no threshold is applied to it.
    """
    (features,) = encoder.run(["features"], {"hu": hu})
    names = ["slice_probability", "study_probability"]
    return tuple(output for head in heads for output in head.run(names, {"features": features}))


def _difference(given: Probabilities, expected: Probabilities) -> float:
    """The largest difference of a slice's or study's probability; NaN where one is no number."""
    return float(np.max([np.abs(a - b).max() for a, b in zip(given, expected, strict=True)]))


def _rates(opened: dict[str, providers.Encoder], hu: NDArray[np.int16]) -> dict[str, float]:
    """Slices a second by provider. They take turns, and the best round counts: a busy moment is nobody's fault."""
    best = dict.fromkeys(opened, float("inf"))
    for _ in range(_ROUNDS):
        for choice, encoder in opened.items():
            best[choice] = min(best[choice], _seconds(_encode, encoder, hu, MICRO_BATCH))
    return {choice: len(hu) / seconds for choice, seconds in best.items()}


def _micro_batch(encoder: providers.Encoder, hu: NDArray[np.int16]) -> int:
    """The micro-batch that a provider is fastest with."""
    many = np.concatenate([hu] * (max(MICRO_BATCHES) // len(hu)))
    best = dict.fromkeys(MICRO_BATCHES, float("inf"))
    for _ in range(_ROUNDS):
        for size in MICRO_BATCHES:
            best[size] = min(best[size], _seconds(_encode, encoder, many, size))
    # A few per cent are noise, and the usual size gives smoother progress than a larger one.
    fastest = min(best, key=lambda size: best[size])
    return fastest if best[fastest] < 0.95 * best[MICRO_BATCH] else MICRO_BATCH


def _encode(encoder: providers.Encoder, hu: NDArray[np.int16], size: int) -> None:
    for at in range(0, len(hu), size):
        encoder.run(["features", "evidence"], {"hu": hu[at : at + size]})


def _seconds(work: Callable[..., None], *given: Any) -> float:
    start = time.perf_counter()
    work(*given)
    return time.perf_counter() - start
