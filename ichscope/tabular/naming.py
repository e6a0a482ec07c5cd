"""How others write the names of columns, labels, readers and studies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ichscope.labels import LABELS
from ichscope.texts import folded

# Our name of a column -> how others write it, as `plain` gives it; the first one found.
_ROLES = {
    "study": (
        *("study", "studyid", "studyinstanceuid", "studyuid", "studyname", "scan", "scanid", "scanname", "exam"),
        *("examid", "examination", "case", "caseid", "casename", "id", "name"),
    ),
    "sop": ("sop", "sopinstanceuid", "sopuid"),
    "slice": ("slice", "slicenumber", "instancenumber"),
    "patient": ("patient", "patientid"),
    "reader": ("reader", "readerid"),
    "model": ("model", "modelname"),
    "series": ("series", "seriesid", "seriesinstanceuid", "seriesuid"),
    "role": ("role",),
    "name": ("name",),
    "version": ("version", "modelversion"),
}
_ABBREVIATIONS = ("ich", "edh", "iph", "ivh", "sah", "sdh")
_ALIASES = {
    **{label: label for label in LABELS},
    **dict(zip(_ABBREVIATIONS, LABELS, strict=True)),
    **dict.fromkeys(("anyich", "intracranial", "hemorrhage", "haemorrhage"), "any"),
    "extradural": "epidural",
    "intracerebral": "intraparenchymal",
}
_PROBABILITY = {"p", "prob", "probability", "pred", "prediction", "score"}
_BLOOD = re.compile(r"ha?e(?:morrhage|matoma)$")
_READER = r"(?:reader|rater|r)_?\d+"
# R1:SDH, or reader1_subdural, or subdural_r1.
_READER_COLUMN = re.compile(rf"([^:]+):(.+)|({_READER})[_ ](.+)|(.+)[_ ]({_READER})", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\W_]+")
# Blanks, underscores, hyphens and dashes, but not those that keep two numbers apart.
_WITHIN_NAMES = re.compile("(?<!\\d)[\\s_\u2010-\u2015\u2212-]+|[\\s_\u2010-\u2015\u2212-]+(?!\\d)")
# A number that a table has kept as one with decimals.
_WITH_DECIMALS = re.compile(r"(\d+)\.0+")
# Words for what is measured or graded, which no yes or no answers.
_MEASURES = {
    *("score", "scale", "grade", "volume", "vol", "thickness", "diameter", "size", "width", "length", "area"),
    *("density", "dose", "age", "count", "number", "ml", "mm", "cm", "cm3", "cc", "hu", "days", "hours", "date"),
    *("time", "gcs", "nihss", "mrs", "aspects"),
}
# What a file's name ends with, where a study is one file.
_ENDINGS = (".dcm", ".zip", ".jpg", ".jpeg", ".png", ".dicom")
# A UID, one of RSNA's, or a key of ours: made by programs, which write them in one way.
_IDENTIFIER = re.compile(r"[\d.]+|ID_[\da-f]+|[\da-f]{16}", re.IGNORECASE)


def plain(name: str) -> str:
    """Write the name of a column in lower case, without what separates its words."""
    return _SEPARATORS.sub("", folded(name))


def label_key(name: str) -> str:
    """Name of a label for comparison: ours where it is one of ours, else as `plain`.

    >>> label_key("ICH_prob"), label_key("P(Subdural hematoma)"), label_key("Epidural (EDH)"), label_key("Mass effect")
    ('any', 'subdural', 'epidural', 'masseffect')
    >>> label_key("ICH score"), label_key("Haemorrhage volume")  # measures of how bad it is
    ('ichscore', 'haemorrhagevolume')
    """
    words = _words(name)
    if _is_graded(words):
        return "".join(words)
    words = [word for word in words if word not in _PROBABILITY] or words
    kinds = [kind for word in words if (kind := _BLOOD.sub("", word))] or words
    ours = {_ALIASES.get(kind) for kind in kinds}  # of "Epidural (EDH)" both words say the same
    return _ALIASES.get("".join(kinds)) or (ours.pop() if len(ours) == 1 else None) or "".join(words)


def is_measure(name: str) -> bool:
    """Whether a name speaks of what is measured or graded: an age, a volume, a score.

    >>> is_measure("ASPECTS score"), is_measure("Haematoma volume (ml)"), is_measure("Mass effect")
    (True, True, False)
    """
    return not _MEASURES.isdisjoint(_words(name))


def _words(name: str) -> list[str]:
    return [word for word in _SEPARATORS.split(folded(name)) if word]


def _is_graded(words: Sequence[str]) -> bool:
    """Whether blood is graded or measured here: the ICH score is 0 to 6, and says of the dead more than of blood."""
    of_blood = any(word in _ABBREVIATIONS or _BLOOD.search(word) for word in words)
    measures = _MEASURES.intersection(words)
    return of_blood and bool(measures) and _PROBABILITY.intersection(words) <= measures


def reader_of_column(name: str) -> str:
    """Whose column it is, as its name says: `R1` of `R1:SDH`; "" where it says nobody."""
    match = _READER_COLUMN.fullmatch(name)
    return (match[1] or match[3] or match[6]).strip() if match else ""


def meaning(name: str) -> str:
    """What the name of a column says that it is: one of our names of columns, else a label.

    >>> meaning("PatientID"), meaning("R1:SDH"), meaning("name")
    ('patient', 'subdural', 'name')
    """
    way = plain(name)
    role = way if way in _ROLES else next((role for role, ways in _ROLES.items() if way in ways), "")
    return role or label_key(_label_text(name))


def _label_text(name: str) -> str:
    """Name of a label without that of its reader."""
    match = _READER_COLUMN.fullmatch(name)
    return (match[2] or match[4] or match[5]).strip() if match else name


def roles_of(names: Iterable[str]) -> dict[str, str]:
    """Our names of columns -> the columns' own."""
    by_plain_name = {plain(name): name for name in names}
    columns = {role: next(filter(by_plain_name.__contains__, ways), "") for role, ways in _ROLES.items()}
    return {role: by_plain_name[way] for role, way in columns.items() if way}


def label_columns(names: Sequence[str]) -> dict[str, list[str]]:
    """Columns of each label: the one that has its name, else those of the readers."""
    own: dict[str, list[str]] = {}
    by_reader: dict[str, list[str]] = {}
    spelt: dict[str, str] = {}
    for name in names:
        text = _label_text(name)
        label = key if (key := label_key(text)) in LABELS else spelt.setdefault(key, text)
        (by_reader if reader_of_column(name) else own).setdefault(label, []).append(name)
    return by_reader | own


def alike(names: Sequence[str]) -> list[str]:
    """Names of studies as they would be written by anybody, where all of them stay different; else as they are.

    Neither case, blanks, hyphens and underscores count, nor the Unicode form, nor decimals of a whole number.

    >>> alike(["CQ500-CT-7", "cq500 ct 71", "1.2.840.7", "ID_0012ab"])
    ['cq500ct7', 'cq500ct71', '1.2.840.7', 'ID_0012ab']
    """
    spelling = {name: _spelt(name) for name in names}
    if len(set(spelling.values())) < len(spelling):
        return list(names)
    return [spelling[name] for name in names]


def folders_of(names: Sequence[str], studies: Sequence[str]) -> list[str]:
    """Of each path the one part that is the name of a study, as `studies` (of `alike`) spells it; else the path.

    A path with two such parts stays as it is: which of them is meant cannot be told.

    >>> folders_of(["scans/CQ500CT0/Plain", "CQ500-CT-1.zip", "x/y"], ["cq500ct0", "cq500ct1"])
    ['cq500ct0', 'cq500ct1', 'x/y']
    """
    known = set(studies)
    parts = {part: _ways_of(part) & known for name in set(names) for part in _parts(name)}
    folders = []
    for name in names:
        fits = set().union(*(parts[part] for part in _parts(name)))
        folders.append(fits.pop() if len(fits) == 1 else name)
    return folders


def _parts(path: str) -> list[str]:
    return path.split("/")


def _ways_of(part: str) -> set[str]:
    """How a part of a path may name a study: as it is, without its ending, and said once where a PACS says it twice."""
    stem = next((part[: -len(end)] for end in _ENDINGS if part.lower().endswith(end)), part)
    words = set(stem.split())
    return {way for text in (part, stem, *(words if len(words) == 1 else ())) for way in (text, _spelt(text))}


def _spelt(name: str) -> str:
    if whole := _WITH_DECIMALS.fullmatch(name):
        return whole[1]
    return name if _IDENTIFIER.fullmatch(name) else _WITHIN_NAMES.sub("", folded(name))
