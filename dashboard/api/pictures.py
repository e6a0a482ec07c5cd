"""Single pictures: a JPG or PNG in, a label out, and nothing is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request

from dashboard import cached, seen
from dashboard.api.answers import PictureAnswer
from dashboard.api.bodies import SentFile, received
from dashboard.api.description import BINARY, FILES, OF_BODIES, answer, body, refusals
from dashboard.api.refusals import RefusalError, demand, too_busy
from ichscope.access import Right
from ichscope.access.events import Action
from ichscope.analyse import MODEL_FAILED, UNEXPECTED, analyse
from ichscope.imaging import limits
from ichscope.imaging.limits import MIB, Holding
from ichscope.models.detector import Detector
from ichscope.models.registry import REGISTRY
from ichscope.results import ModelResult, SeriesResult
from ichscope.store import judged

router = APIRouter()
KINDS = ("image/jpeg", "image/png", "multipart/form-data")
# How such files begin: JPEG, ITU-T T.81, B.1.1.3; PNG, ISO/IEC 15948, 5.2.
_BEGINNINGS = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}
# The model that was made for pictures, where there is one of its name.
_USUAL = "cerebroscan"
# As of one file that a page takes; the gate knows what else is set.
_MOST_MIB = 200
# Each holds a thread that pages wait for, too.
_MOST_AT_ONCE = 8
_AGAIN_S = 5

_EXAMPLE = {
    "label": "haemorrhage",
    "confidence": 0.91,
    "status": "limited",
    "reasons": ["A picture has no Hounsfield units."],
    "model": "cerebroscan",
    "version": "0.4.0",
    "threshold": 0.42,
    "probability": {"any": 0.91},
}
_OF_PICTURES = {
    404: "There is no model of this name; found cerebroscan, cranioscan.",
    422: "picture.png: found no head, expected an axial slice of one.",
    429: "Several pictures are being looked at; try again soon.",
    503: "No model can be used.",
}


@router.post(
    "/pictures",
    summary="Look at a picture",
    responses=refusals(OF_BODIES, _OF_PICTURES) | {200: answer(_EXAMPLE)},
    openapi_extra=body({kind: FILES if kind == "multipart/form-data" else BINARY for kind in KINDS}),
)
async def look(
    request: Request,
    model: Annotated[str, Query(description=f"Name of a model; {_USUAL} if not given.")] = "",
) -> PictureAnswer:
    """Say whether a JPG or PNG of one axial slice shows signs of haemorrhage. The picture is not kept."""
    await to_thread.run_sync(demand, Right.ANALYSE, Action.ANALYSED)
    await to_thread.run_sync(demand, Right.SEE, Action.STUDY_SEEN)
    async with received(request, KINDS, _MOST_MIB * MIB) as files:
        if len(files) != 1:
            raise RefusalError(422, f"Found {len(files)} files, expected one picture.")
        with _place():
            return await to_thread.run_sync(_look, files[0], model)


class _Places:
    """How many pictures are looked at now."""

    def __init__(self) -> None:
        self._taken, self._lock = 0, threading.Lock()

    def take(self) -> bool:
        with self._lock:
            if self._taken >= _MOST_AT_ONCE:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1


_PLACES = _Places()


@contextmanager
def _place() -> Iterator[None]:
    if not _PLACES.take():
        raise too_busy(_OF_PICTURES[429], _AGAIN_S)
    try:
        yield
    finally:
        _PLACES.give_back()


def _look(file: SentFile, wanted: str) -> PictureAnswer:
    ending = _ending(file.path)
    detectors = _detectors(wanted)
    holding = Holding(limits.session_mib())
    if holding.refusal:
        raise too_busy(holding.refusal, _AGAIN_S)
    found = list(analyse([(f"picture.{ending}", file.path)], detectors, holding=holding))
    if not found:
        raise RefusalError(422, "Found no picture in the file, expected a JPG or PNG.")
    result = _checked(found[0].speaks)
    seen.by_program(lambda store: store.keys.study(result.study))
    (said,) = result.models.values()
    return _answer(result, judged(said, cached.thresholds()))


def _ending(path: Path) -> str:
    with path.open("rb") as file:
        begins = file.read(max(map(len, _BEGINNINGS)))
    for beginning, ending in _BEGINNINGS.items():
        if begins.startswith(beginning):
            return ending
    raise RefusalError(415, "Found another kind of file, expected a JPG or PNG.")


def _detectors(wanted: str) -> Mapping[str, Detector]:
    """Give the one model that is asked for. Raises ModelError if none can be used."""
    detectors = REGISTRY.get().detectors
    name = wanted or (_USUAL if _USUAL in detectors else min(detectors))
    if name not in detectors:
        raise RefusalError(404, f"There is no model of this name; found {', '.join(detectors)}.")
    return {name: detectors[name]}


def _checked(result: SeriesResult) -> SeriesResult:
    if result.models:
        return result
    failed = any(finding.code in (MODEL_FAILED, UNEXPECTED) for finding in result.findings)
    raise RefusalError(503 if failed else 422, "; ".join(result.reasons))


def _answer(result: SeriesResult, said: ModelResult) -> PictureAnswer:
    probability = said.probability["any"]
    return PictureAnswer.model_validate(
        {
            "label": "haemorrhage" if said.flagged else "normal",
            "confidence": probability if said.flagged else 1 - probability,
            "status": str(result.status),
            "reasons": list(result.reasons),
            "model": said.name,
            "version": said.version,
            "threshold": said.threshold,
            "probability": said.probability,
        }
    )
