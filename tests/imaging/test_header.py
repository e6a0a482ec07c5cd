"""Header words that say one thing in many ways: contrast agents, ages, dates, numbers, long headers."""

from __future__ import annotations

import struct
from datetime import date

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from ichscope.imaging.dicom import read_series
from ichscope.imaging.header import header_of
from ichscope.imaging.intake import collect
from ichscope.imaging.quality import assess
from ichscope.imaging.source import Source
from ichscope.phantom import Phantom, datasets, to_bytes

NO_AGENTS = (
    "", "C-", "c -", "NON CONTRAST", "W/O", "UNENHANCED", "N/A", "n.a.", "NONE", "No", "NON-CONTRAST", "NONE GIVEN",
    "NO IV CONTRAST", "Without contrast", "w/o contrast", "NO CONTRAST GIVEN", "NOT ADMINISTERED", "-", "(-)", "0",
    "nativ", "ohne KM", "sans injection", "NCCT", "PRE CONTRAST", "UN-ENHANCED", "non enhanced", "NO I.V. CONTRAST",
    "CONTRAST: NONE", "IV NONE", "IV CONTRAST: NO", "Contrast_none", "HEAD W/O", "kein KM", "nicht gegeben", "0 ml",
    "0ML", "geen contrast", "UNSPECIFIED", "REMOVED",
)  # fmt: skip
AGENTS = (
    "C+", "OMNIPAQUE 300", "CONTRAST", "YES", "APPLIED", "IV", "+C", "ULTRAVIST", "NIOPAM 300", "NON IONIC IODINE 300",
    "Natrium iodide", "CE", "NON-IONIC CONTRAST", "CONTRAST C+", "Omnipaque, no reaction",
)  # fmt: skip


def contrast(head: Phantom, **tags: object) -> str:
    """What the header says of contrast."""
    return header_of(datasets(head, **tags)[0], Dataset()).contrast


def item(**tags: object) -> Sequence:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return Sequence([dataset])


@pytest.mark.parametrize("word", NO_AGENTS)
def test_words_that_no_agent_was_given(head: Phantom, word: str) -> None:
    assert contrast(head, ContrastBolusAgent=word) == ""


@pytest.mark.parametrize("word", AGENTS)
def test_words_that_an_agent_was_given(head: Phantom, word: str) -> None:
    assert contrast(head, ContrastBolusAgent=word) == word


@pytest.mark.parametrize(
    "tags",
    [
        {"ContrastBolusVolume": "80", "ContrastBolusRoute": "IV", "ContrastBolusStartTime": "030200"},
        {"ContrastBolusVolume": "80"},
        {"ContrastBolusRoute": "IV"},
        {"ContrastBolusStartTime": "030200"},
        {"ContrastBolusTotalDose": "24"},
        {"ContrastFlowRate": "4"},
        {"ContrastBolusAgent": "NONE", "ContrastBolusVolume": "80"},
        {"ContrastBolusAgentSequence": item(CodeMeaning="Iohexol")},
        {"ContrastBolusAgentSequence": item(CodeMeaning="None", ContrastBolusVolume="80")},
        {"SeriesDescription": "CTA HEAD"},
        {"SeriesDescription": "Head post contrast", "ContrastBolusAgent": "NONE"},
        {"SeriesDescription": "HEAD C+"},
        {"SeriesDescription": "Kopf nach KM"},
        {"SeriesDescription": "Postkontrast 5 mm"},
        {"SeriesDescription": "VENOUS PHASE"},
        {"SeriesDescription": "Head art. phase"},
    ],
    ids=str,
)
def test_contrast_without_the_name_of_an_agent(head: Phantom, tags: dict) -> None:
    assert contrast(head, **tags)


@pytest.mark.parametrize(
    "tags",
    [
        {"ContrastBolusVolume": "0", "ContrastBolusRoute": "NONE"},
        {"ContrastBolusVolume": ""},
        {"ContrastBolusAgent": "NONE", "ContrastBolusRoute": "IV"},
        {"ContrastBolusStartTime": "000000"},
        {"ContrastBolusAgentSequence": item(CodeMeaning="No contrast")},
        {"SeriesDescription": "HEAD W/O CONTRAST"},
        {"SeriesDescription": "NON-CONTRAST HEAD 5.0 H31s"},
        {"SeriesDescription": "Cerebral nativ"},
        {"SeriesDescription": "HEAD C-"},
        {"SeriesDescription": "NCCT before CTA"},
        {"SeriesDescription": "Bone HIGH CONTRAST"},
        {"SeriesDescription": "Head edge enhanced"},
        {"SeriesDescription": "Contrast: none"},
    ],
    ids=str,
)
def test_no_contrast_in_other_elements(head: Phantom, tags: dict) -> None:
    assert contrast(head, **tags) == ""


def test_the_finding_names_the_element_that_speaks(head: Phantom) -> None:
    series = read_series([to_bytes(one) for one in datasets(head, ContrastBolusVolume="80")])
    [found] = [one for one in assess(series) if one.code == "contrast"]
    assert "Contrast/Bolus Volume (0018,1041): 80" in found.text


def test_contrast_of_an_enhanced_image(head: Phantom) -> None:
    shared = Dataset()
    shared.ContrastBolusUsageSequence = item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES")
    assert "(0018,9342)" in header_of(datasets(head)[0], shared).contrast


# ---------------------------------------------------------------- ages and dates


def with_raw(data: bytes, keyword: str, value: str) -> bytes:
    """A file with a header value that pydicom would not let pass."""
    tag = Tag(keyword)
    start = data.index(struct.pack("<HH", tag.group, tag.elem) + dictionary_VR(tag).encode())
    length = int.from_bytes(data[start + 6 : start + 8], "little")
    raw = value.encode("latin-1") + b" " * (len(value) % 2)
    return data[: start + 6] + struct.pack("<H", len(raw)) + raw + data[start + 8 + length :]


@pytest.mark.parametrize(
    ("age", "born", "years"),
    [
        ("034Y", "", 34), ("34Y", "", 34), ("034y", "", 34), ("34 Y", "", 34), ("018M", "", 1.5), ("34", "", None),
        ("034", "19900102", 34), ("34 years", "", None), ("\xb2Y", "", None), ("999Y", "", None), ("-34Y", "", None),
        ("ADULT", "", None), ("", "1990.01.02", 34), ("", "1990-01-02", 34), ("", "02.01.1990", None),
        ("", "19901302", None), ("", "1990", None), ("", "20300101", None),
    ],
)  # fmt: skip
def test_ages_in_other_forms_are_unknown(head: Phantom, age: str, born: str, years: float | None) -> None:
    tags = {"PatientBirthDate": "19500101", "PatientAge": "034Y", "StudyDate": "20240102"}
    data = with_raw(to_bytes(datasets(head, **tags)[0]), "PatientAge", age)
    header = read_series([with_raw(data, "PatientBirthDate", born)]).header
    assert header.age_years == (years if years is None else pytest.approx(years, abs=0.01))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("20240102", date(2024, 1, 2)), ("2024.01.02", date(2024, 1, 2)), ("2024-01-02", date(2024, 1, 2)),
        ("01/02/2024", None), ("2024", None), ("20240230", None), ("yesterday", None), ("00000000", None),
    ],
)  # fmt: skip
def test_dates_in_other_forms_are_unknown(head: Phantom, word: str, expected: date | None) -> None:
    assert read_series([with_raw(to_bytes(datasets(head)[0]), "StudyDate", word)]).header.study_date == expected


# ---------------------------------------------------------------- Instance Number, long headers


@pytest.mark.parametrize("word", ["{0}/8", "IM{0}", "1.{0}.2", "?", "{0} of 8", "1\\{0}"])
def test_an_instance_number_that_is_none_is_not_needed(head: Phantom, word: str) -> None:
    files = [
        Source(f"IM{8 - number}", data=with_raw(to_bytes(one), "InstanceNumber", word.format(number)))
        for number, one in enumerate(datasets(head), 1)
    ]
    [group] = collect(files).groups
    series = read_series(group.sources)
    np.testing.assert_array_equal(series.hu, np.maximum(head.hu, -1024))
    assert not [finding for finding in series.findings if finding.level != "ok"]


@pytest.mark.parametrize(
    ("keyword", "count", "undefined"),
    [
        ("SourceImageSequence", 300, True),
        ("SourceImageSequence", 3000, False),
        ("ReferencedImageSequence", 900, True),
        ("RequestAttributesSequence", 600, True),
    ],
)
def test_a_header_of_more_than_32_kib_is_whole(head: Phantom, keyword: str, count: int, undefined: bool) -> None:
    sources = []
    for number in range(count):
        one = Dataset()
        one.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        one.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.12345678901234567890123456789.{number}"
        one.is_undefined_length_sequence_item = undefined
        sources.append(one)
    files = datasets(head)
    for dataset in files:
        setattr(dataset, keyword, sources)
        dataset[keyword].is_undefined_length = undefined
    intake = collect([(f"IM{number}", to_bytes(one)) for number, one in enumerate(files)])
    assert not intake.rejected
    [group] = intake.groups
    np.testing.assert_array_equal(read_series(group.sources).hu, np.maximum(head.hu, -1024))
