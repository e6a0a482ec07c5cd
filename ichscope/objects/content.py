"""What of a result goes into objects, in an order that is always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichscope import __version__
from ichscope.imaging.findings import Status
from ichscope.objects.headers import Headers
from ichscope.objects.refusal import ObjectError
from ichscope.results import ModelResult, SeriesResult, deciding, top_slices

# A study has few slices that are worth a look; more than these make no page and no list that anybody reads.
MOST_SLICES = 6
WARNING = "Research use only, not for diagnosis"


def check(result: SeriesResult, headers: Headers) -> None:
    """Refuse a result that says nothing, and headers of another series.

    Raises
    ------
    ObjectError
        with the reason
    """
    if result.status == Status.NOT_ANALYSED or not result.models:
        reason = " ".join(result.reasons) or "no model was run"
        raise ObjectError(f"{result.name}: found no result ({reason}), expected that a model has analysed the series")
    if [place.file for place in headers.slices] != [place.file for place in result.slices]:
        raise ObjectError(f"{result.name}: found headers of other slices, expected those of the result")


def models_of(result: SeriesResult) -> list[ModelResult]:
    """The models of a result, the one with the most labels first."""
    return sorted(result.models.values(), key=lambda model: (-len(model.probability), model.name))


def key_slices(result: SeriesResult) -> list[int]:
    """The slices that the models together find most suspicious, the most suspicious first.

    Those of the highest probability of any haemorrhage, of whichever model that flags the study, or of any; of those
    models whose word counts.
    """
    models = deciding(models_of(result))
    asked = [model for model in models if model.flagged] or models
    return top_slices(np.max([model.slice_probability["any"] for model in asked], axis=0), MOST_SLICES)


def evidence_of(result: SeriesResult) -> list[tuple[str, NDArray[np.float32]]]:
    """Each evidence that differs from the others, and the models whose it is: those that share an encoder share it.

    Returns
    -------
    names, and (slices, h, w) float32, 0 to 1, over SeriesResult.box
    """
    names: dict[bytes, list[str]] = {}
    arrays: dict[bytes, NDArray[np.float32]] = {}
    for model in models_of(result):
        key = hashlib.sha256(repr(model.evidence.shape).encode() + model.evidence.tobytes()).digest()
        names.setdefault(key, []).append(model.name)
        arrays.setdefault(key, model.evidence)
    return [(" and ".join(names[key]), array) for key, array in arrays.items()]


def fingerprint(result: SeriesResult, headers: Headers) -> str:
    """SHA-256 over all that objects say: the same result gives the same objects, another one others."""
    said = hashlib.sha256()
    for text in _facts(result, headers):
        said.update(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest())
    for model in models_of(result):
        for array in (*model.slice_probability.values(), model.evidence):
            said.update(hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest())
    return said.hexdigest()


def _facts(result: SeriesResult, headers: Headers) -> list[str]:
    places = [f"{place.series} {place.sop} {place.frame}" for place in headers.slices]
    models = [
        repr((model.name, model.version, model.encoder_sha256, model.head_sha256, model.operating_point,
              model.provider, sorted(model.probability.items()), sorted(model.thresholds.items())))
        for model in models_of(result)
    ]  # fmt: skip
    return [__version__, headers.study, *places, str(result.status), *result.reasons, repr(result.box), *models]


def plain(text: str) -> str:
    """A text in letters that every character set of DICOM has (PS3.5 6.1.1): of others there is a question mark.

    Objects are in the character set of the images, which may lack any letter beyond ASCII.

    Examples
    --------
    >>> plain("Schädel: 2 slices"), plain("a" * 5)
    ('Sch?del: 2 slices', 'aaaaa')
    """
    return "".join(letter if " " <= letter <= "~" and letter != "\\" else "?" for letter in text)


def reasons_of(result: SeriesResult) -> Sequence[str]:
    """Why the result is limited, a sentence each."""
    return result.reasons if result.status == Status.LIMITED else ()
