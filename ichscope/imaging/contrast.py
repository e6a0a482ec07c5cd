"""Was a contrast agent given? The Contrast/Bolus module, its sequences and the name of the series, asked together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from ichscope.imaging.elements import DicomError, describe, items, numbers, text

_LONGEST = 64
# What scanners and people write where none was given, and words that go with it, without dots and slashes.
_DENIALS = frozenset((
    "NO", "UN", "NON", "NOT", "NONE", "NIL", "NULL", "NA", "N", "WITHOUT", "WO", "OHNE", "SANS", "SIN", "SENZA", "SINE",
    "KEIN", "KEINE", "KEINES", "NICHT", "GEEN", "NIHIL", "ZONDER", "UTAN", "BEZ",
    "NATIVE", "NATIV", "NATIF", "UNENHANCED", "PLAIN", "OFF", "PRE", "NECT", "NCCT", "NCT", "NC", "0", "00", "0ML",
    "FALSE", "UNKNOWN", "UNSPECIFIED", "ANONYMIZED", "ANONYMISED", "REMOVED", "NONCONTRAST", "NONENHANCED",
    "PRECONTRAST", "NOCONTRAST", "WOCONTRAST", "NONEGIVEN",
))  # fmt: skip
_COMPANIONS = frozenset((
    "IV", "ORAL", "CONTRAST", "CONTRASTE", "AGENT", "MEDIA", "MEDIUM", "MATERIAL", "DYE", "KM", "CM", "CE", "MDC",
    "GIVEN", "ADMINISTERED", "APPLIED", "USED", "INJECTED", "APPLICABLE", "ENHANCED", "ENHANCEMENT", "INJECTION",
    "BOLUS", "CT", "SCAN", "HEAD", "BRAIN", "C", "INJ", "ML", "CC", "IODINE", "KONTRAST", "KONTRASTMITTEL", "GEGEBEN",
    "CONTRASTO", "CONTRASTMIDDEL",
))  # fmt: skip
# "Omnipaque not given" names an agent and denies it.
_NOT_GIVEN = re.compile(
    r"\b(NOT|NON|NO|NICHT|NIET)\s+(GIVEN|ADMINISTERED|APPLIED|USED|INJECTED|GEGEBEN|VERABREICHT|DONN\w+)\b",
    re.IGNORECASE,
)
_MINUS = re.compile(r"\bC\s*\(?[-\u2013\u2212]|[-\u2013\u2212]\)?\s*C\b|\(-\)", re.IGNORECASE)
# Series names of enhanced heads; a name that also says "without" is not one.
_ENHANCED_NAME = re.compile(
    r"\b(CTA|CTV|ANGIO\w*|POST[\s_-]?(CONTRAST|GAD|KM|CM|INJ\w*)|CECT|KM[\s_-]?GABE|MIT[\s_-]?KM|CON[\s_-]?CONTRASTE|"
    r"(?<!WITHOUT )WITH[\s_-]?CONTRAST|(?<!EDGE )(?<!BONE )ENHANCED|(?<!HIGH )(?<!LOW )(?<!TISSUE )CONTRAST|"
    r"AVEC[\s_-]?(IV|INJECTION)|PERFUSION|CTP|NACH[\s_-]?KM|(POST)?KONTRAST\w*|"
    r"(ART|VEN|ARTERIAL|ARTERIELLE|VENOUS|VENOSE|VEN\u00d6SE)[\s._-]*PHASE)\b|"
    r"(^|[\s_(])(C\+|\+C|\+\s?CE|IV\+)", re.IGNORECASE
)  # fmt: skip
_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastFlowRate", "ContrastBolusIngredientConcentration")


def contrast_of(dataset: Dataset, shared: Dataset) -> str:
    """What says that a contrast agent was given: the agent's name, or another element with its value; "" if nothing.

    Parameters
    ----------
    dataset, shared : header of an image, and the shared functional groups of an Enhanced one

    References
    ----------
    PS3.3 C.7.6.4 Contrast/Bolus, C.7.6.4b Enhanced Contrast/Bolus, C.7.6.16.2.12 Contrast/Bolus Usage

    Examples
    --------
    >>> dataset = Dataset()
    >>> dataset.ContrastBolusAgent = "NON CONTRAST"
    >>> contrast_of(dataset, Dataset())
    ''
    >>> dataset.ContrastBolusVolume = 80
    >>> contrast_of(dataset, Dataset())
    'Contrast/Bolus Volume (0018,1041): 80'
    """
    return next(_signs(dataset, shared), "")[:_LONGEST]


def is_no_agent(word: str) -> bool:
    """Whether a word says that none was given, or nothing at all.

    Examples
    --------
    >>> [is_no_agent(word) for word in ("C-", "W/O", "N/A", "CONTRAST: NONE", "C+", "NON-IONIC", "OMNIPAQUE 300")]
    [True, True, True, True, False, False, False]
    >>> is_no_agent("Omnipaque 300, not given")
    True
    """
    words = set(_words(word))
    return not words or bool(_NOT_GIVEN.search(word)) or (bool(words & _DENIALS) and words <= _DENIALS | _COMPANIONS)


def _words(phrase: str) -> list[str]:
    """Upper-case words of a phrase; "W/O" is WO, "I.V." is IV, and "C-" is NO."""
    return re.findall(r"[^\W_]+|\+", re.sub(r"[./]", "", _MINUS.sub(" NO ", phrase)).upper())


def _signs(dataset: Dataset, shared: Dataset) -> Iterator[str]:
    """Every element that speaks of an agent, the most telling first."""
    agents = _items(dataset, "ContrastBolusAgentSequence")
    usages = _items(shared, "ContrastBolusUsageSequence")
    names = [text(dataset, "ContrastBolusAgent"), *(text(agent, "CodeMeaning") for agent in agents)]
    yield from (name for name in names if not is_no_agent(name))
    for place in (dataset, *agents):
        for keyword in _AMOUNTS:
            if amount := _amount(place, keyword):
                yield f"{describe(keyword)}: {amount:g}"
    if any(text(usage, "ContrastBolusAgentAdministered") == "YES" for usage in usages):
        yield f"{describe('ContrastBolusAgentAdministered')}: YES"
    yield from _vaguer(dataset)


def _vaguer(dataset: Dataset) -> Iterator[str]:
    """Route, times and names: believed unless the agent's own element says that none was given."""
    denied = bool(agent := text(dataset, "ContrastBolusAgent")) and is_no_agent(agent)
    routes = [text(dataset, "ContrastBolusRoute")]
    for item in _items(dataset, "ContrastBolusAdministrationRouteSequence"):
        routes.append(text(item, "CodeMeaning"))
    for keyword in ("ContrastBolusStartTime", "ContrastBolusStopTime"):
        if not denied and (time := text(dataset, keyword)).strip("0:. "):
            yield f"{describe(keyword)}: {time}"
    for route in routes:
        if not denied and not is_no_agent(route):
            yield f"{describe('ContrastBolusRoute')}: {route}"
    name = text(dataset, "SeriesDescription")
    if not _DENIALS & set(_words(name)) and _ENHANCED_NAME.search(name):
        yield f"{describe('SeriesDescription')}: {name}"


def _amount(dataset: Dataset, keyword: str) -> float:
    try:
        return max(numbers(dataset, keyword, "") or (0.0,))
    except DicomError:
        return 0.0


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return items(dataset, keyword, "")
    except DicomError:
        return []
