"""How others write the names of columns, labels, readers and studies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ichscope.labels import LABELS

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
_ALIASES = {
    **{label: label for label in LABELS},
    **dict(zip(("ich", "edh", "iph", "ivh", "sah", "sdh"), LABELS, strict=True)),
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
# Blanks, hyphens and underscores, but not those that keep two numbers apart.
_WITHIN_NAMES = re.compile(r"(?<!\d)[\s_-]+|[\s_-]+(?!\d)")
# A UID, one of RSNA's, or a key of ours: made by programs, which write them in one way.
_IDENTIFIER = re.compile(r"[\d.]+|ID_[\da-f]+|[\da-f]{16}", re.IGNORECASE)


def plain(name: str) -> str:
    """Write the name of a column in lower case, without what separates its words."""
    return _SEPARATORS.sub("", name.casefold())


def label_key(name: str) -> str:
    """Name of a label for comparison: ours where it is one of ours, else as `plain`.

    >>> label_key("ICH_prob"), label_key("P(Subdural hematoma)"), label_key("Epidural (EDH)"), label_key("Mass effect")
    ('any', 'subdural', 'epidural', 'masseffect')
    """
    words = [word for word in _SEPARATORS.split(name.casefold()) if word]
    words = [word for word in words if word not in _PROBABILITY] or words
    kinds = [kind for word in words if (kind := _BLOOD.sub("", word))] or words
    ours = {_ALIASES.get(kind) for kind in kinds}  # of "Epidural (EDH)" both words say the same
    return _ALIASES.get("".join(kinds)) or (ours.pop() if len(ours) == 1 else None) or "".join(words)


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

    >>> alike(["CQ500-CT-7", "cq500 ct 71", "1.2.840.7", "ID_0012ab"])
    ['cq500ct7', 'cq500ct71', '1.2.840.7', 'ID_0012ab']
    """
    spelling = {name: name if _IDENTIFIER.fullmatch(name) else _WITHIN_NAMES.sub("", name.casefold()) for name in names}
    if len(set(spelling.values())) < len(spelling):
        return list(names)
    return [spelling[name] for name in names]
