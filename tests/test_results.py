from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from ichscope import results

MODEL = SimpleNamespace(
    name="cranioscan",
    version="1.0",
    provider="CPU fp32",
    seconds=0.21234,
    operating_point="balanced",
    threshold=0.31,
    flagged=True,
    probability={"any": 0.93456, "subdural": 0.05},
)
ANALYSED = SimpleNamespace(
    name="a",
    study="s",
    series="k",
    status="limited",
    reasons=("one", "two"),
    slices=(1, 2),
    models={"c": MODEL},
)
FAILED = SimpleNamespace(
    name="b", study="", series="", status="not analysed", reasons=("MR, not CT",), slices=(), models={}
)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_gives_a_row_per_model_and_one_for_a_series_without_result() -> None:
    both = [*results.csv_rows(ANALYSED), *results.csv_rows(FAILED)]
    analysed, failed = read(results.csv_text(both))
    assert analysed["reasons"] == "one; two"
    assert (analysed["slices"], analysed["seconds"], analysed["flagged"]) == ("2", "0.212", "yes")
    assert (analysed["probability_any"], analysed["probability_subdural"]) == ("0.9346", "0.05")
    assert analysed["probability_epidural"] == "", "a label that the model does not have is empty, not 0"
    assert failed["reasons"] == "MR, not CT"
    assert {failed[c] for c in results.CSV_COLUMNS[6:]} == {""}


def test_csv_of_nothing_is_the_header() -> None:
    assert results.csv_text([]).strip().split(",") == list(results.CSV_COLUMNS)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("scan 1", "scan 1"),
        ('a,"b"\nc', 'a,"b"\nc'),
        ("=cmd()", "'=cmd()"),
        ("@x", "'@x"),
        ("-1+1", "'-1+1"),
        (" \t=1", "' \t'=1"),
        ("＝1", "'＝1"),
        ("found CT;=1, expected CT", "found CT;'=1, expected CT"),
        ("CT\r\n=1", "CT\r'\n'=1"),
        ("slices 1-5; 0.5 - 3 mm", "slices 1-5; 0.5 - 3 mm"),
    ],
)
def test_csv_never_starts_a_formula(name: str, cell: str) -> None:
    assert read(results.csv_text([{"name": name}]))[0]["name"] == cell


def test_json_is_a_list_and_refuses_what_json_cannot_say() -> None:
    assert json.loads(results.json_text([{"name": "Schädel"}])) == [{"name": "Schädel"}]
    with pytest.raises(ValueError, match="JSON"):
        results.json_text([{"p": float("nan")}])


@pytest.mark.parametrize(
    ("along", "expected"),
    [
        pytest.param([0.5], [0], id="one slice"),
        pytest.param([0.1, 0.2, 0.3], [2, 1], id="the highest first"),
        pytest.param([0.9, 0.1, 0.9], [0, 2], id="of equal ones the lowest first"),
        pytest.param([0.5, 0.5, 0.5], [1], id="one slab"),
        pytest.param([0.1] * 5 + [0.9] * 5 + [0.4] * 4, [7, 11], id="slabs, by their middle slices"),
    ],
)
def test_top_slices(along: list[float], expected: list[int]) -> None:
    assert results.top_slices(np.array(along, np.float32), most=2) == expected
