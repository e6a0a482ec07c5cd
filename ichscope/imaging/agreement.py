"""One header for a series: all slices are asked, the gravest of what differs counts, and contradictions are said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydicom.dataset import Dataset

from ichscope.imaging.elements import describe, raw_value, text
from ichscope.imaging.findings import Finding, FindingLevel
from ichscope.imaging.frames import Frame
from ichscope.imaging.header import ADULT_YEARS, age_by_dates, header_of, said_age
from ichscope.imaging.series import Header

# Elements of an image that `header_of` reads of what is asked here: where they are the same, so is what they say.
_ASKED = (
    "PatientAge", "PatientBirthDate", "StudyDate", "PatientSex", "KVP", "SeriesDescription", "ContrastBolusAgent",
    "ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastBolusRoute", "ContrastBolusStartTime",
    "ContrastBolusStopTime", "ContrastBolusAgentSequence", "ContrastBolusIngredientConcentration",
    "ContrastFlowRate", "BodyPartExamined", "AccessionNumber", "StudyID",
)  # fmt: skip
# One series is of one examination. Their values are the patient's, so no finding has them.
_OF_ONE_EXAMINATION = ("StudyDate", "AccessionNumber", "StudyID")
# Birth dates are often moved to the first of January, or by some days, when names are taken away.
_SAME_AGE_YEARS = 2.0
_USUAL_KVP = 120.0


def one_header(frames: Sequence[Frame]) -> tuple[Header, list[Finding]]:
    """The facts of a series' header, and what its slices contradict each other in.

    Of what differs the gravest counts: a contrast agent, the youngest age, the most unusual voltage, no head.

    Examples
    --------
    >>> from ichscope.imaging.frames import read_frames
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = datasets(make(slices=4, size=64))
    >>> files[2].KVP = 80
    >>> header, findings = one_header([frame for file in files for frame in read_frames(to_bytes(file), "IM")])
    >>> header.kvp, [finding.code for finding in findings]
    (80.0, ['slices-contradict'])
    """
    different = _different(frames)
    headers = [header_of(frame.dataset, frame.shared) for frame in different]
    chosen: dict[str, Any] = {}
    findings = _age_findings([frame.dataset for frame in different])
    for keyword, name, choose in _FACTS:
        said = sorted({fact for header in headers if (fact := getattr(header, name)) not in (None, "")})
        if said:
            chosen[name] = choose(said)
        if len(said) > 1:
            words = f"{describe(keyword)}: found {' and '.join(map(_words, said))} in one series, expected one."
            findings.append(Finding(_level(name, said), "slices-contradict", words))
    findings += _examination_findings([frame.dataset for frame in different])
    return replace(headers[0], **chosen), findings


# Tag, field of Header, and what counts of several values.
_FACTS: tuple[tuple[str, str, Callable[[list[Any]], object]], ...] = (
    ("PatientAge", "age_years", min),
    ("PatientSex", "sex", lambda said: said[0] if len(said) == 1 else ""),
    ("KVP", "kvp", lambda said: max(said, key=lambda kvp: abs(kvp - _USUAL_KVP))),
    ("ContrastBolusAgent", "contrast", lambda said: said[0]),
    ("BodyPartExamined", "body_part", lambda said: min(said, key=lambda part: "HEAD" in part)),
)


def _level(name: str, said: Sequence[Any]) -> FindingLevel:
    """Two sexes, or ages that no birthday explains, may be two patients in one series."""
    two_sexes = name == "sex" and {"F", "M"} <= set(said)
    two_ages = name == "age_years" and said[-1] - said[0] > _SAME_AGE_YEARS
    return FindingLevel.WARNING if two_sexes or two_ages else FindingLevel.OK


def _different(frames: Sequence[Frame]) -> list[Frame]:
    """Frames whose headers say different things, in order."""
    seen: dict[tuple[object, ...], Frame] = {}
    known: set[int] = set()
    for frame in frames:
        if id(frame.dataset) not in known:
            known.add(id(frame.dataset))
            seen.setdefault(tuple(_hashable(raw_value(frame.dataset, keyword)) for keyword in _ASKED), frame)
    return list(seen.values())


def _hashable(value: object) -> object:
    return value if isinstance(value, bytes | str | int | float | None) else str(value)


def _words(value: object) -> str:
    """A value for people; of an age or a voltage the number."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _examination_findings(datasets: Sequence[Dataset]) -> Iterator[Finding]:
    """Elements of which a series has one value, where it has several; empty ones say nothing."""
    for keyword in _OF_ONE_EXAMINATION:
        count = len({said for dataset in datasets if (said := text(dataset, keyword))})
        if count > 1:
            words = f"{describe(keyword)}: found {count} values in one series, expected one."
            yield Finding(FindingLevel.OK, "slices-contradict", words)


def _age_findings(datasets: Iterable[Dataset]) -> list[Finding]:
    """Patient's Age against the years from birth to study: grave if one of them is a child's."""
    for dataset in datasets:
        said, by_dates = said_age(dataset), age_by_dates(dataset)
        if said is None or by_dates is None or abs(said - by_dates) <= _SAME_AGE_YEARS:
            continue
        grave = (said < ADULT_YEARS) != (by_dates < ADULT_YEARS)
        words = (
            f"{describe('PatientAge')}: found {abs(said - by_dates):.0f} years {'more' if said > by_dates else 'less'} "
        )
        words += f"than from {describe('PatientBirthDate')} to {describe('StudyDate')}, expected the same"
        words += "; the models learned from adults." if grave else "."
        return [Finding(FindingLevel.WARNING if grave else FindingLevel.OK, "age", words)]
    return []
