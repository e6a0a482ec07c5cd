import json
from dataclasses import replace

import numpy as np
import pytest

from dashboard import viewer
from ichscope.imaging.preprocess import Box
from tests.support.results_builder import GRID, model, result, series


def unpack(packet: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(packet[:4], "little")
    return json.loads(packet[4 : 4 + length]), packet[4 + length :]


def test_a_packet_holds_header_voxels_and_evidence_of_each_model() -> None:
    data = series()
    models = model(), model("cerebroscan", labels=("any",))
    header, body = unpack(viewer.packet(result(*models, data=data, box=Box(-1, 2, 8, 6))))
    voxels = np.frombuffer(body[: data.hu.nbytes], "<i2").reshape(header["shape"])
    np.testing.assert_array_equal(voxels, data.hu)
    assert header["box"] == [2, -1, 6, 8]  # left, top, width, height
    assert [one["grid"] for one in header["models"]] == [list(GRID)] * 2
    evidence = np.frombuffer(body[data.hu.nbytes :], np.uint8).reshape(2, 3, *GRID)
    np.testing.assert_allclose(evidence[0] / 255, models[0].evidence, atol=0.002)


def test_the_model_that_decides_comes_first_with_its_evidence_and_top_slices() -> None:
    data, other = series(), model(along=(0.9, 0.1, 0.2))
    decides = replace(model("cerebroscan", along=(0.1, 0.2, 0.8), labels=("any",)), decides=True)
    decides = replace(decides, evidence=decides.evidence[::-1])
    header, body = unpack(viewer.packet(result(other, decides, data=data)))
    assert [one["name"] for one in header["models"]] == ["cerebroscan", "cranioscan"]
    assert (header["top"], header["start"]) == ([2, 1, 0], 2)
    evidence = np.frombuffer(body[data.hu.nbytes :], np.uint8).reshape(2, 3, *GRID)
    np.testing.assert_allclose(evidence[0] / 255, decides.evidence, atol=0.002)


def test_the_voxels_start_at_an_even_address() -> None:
    for name in ("a", "ab", "abc", "ä"):
        packet = viewer.packet(result(model(name, along=(0.5,)), data=series(slices=1)))
        assert int.from_bytes(packet[:4], "little") % 4 == 0


def test_slices_keep_their_file_and_place() -> None:
    header, _ = unpack(viewer.packet(result(model(), data=series())))
    assert header["files"] == ["IM0.dcm", "IM1.dcm", "IM2.dcm"]
    assert header["positions"] == [0.0, 5.0, 10.0]
    assert header["spacing"] == [0.5, 0.4]


@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        ({"orientation": None}, "oriented", False),
        ({}, "oriented", True),
        ({"spacing_mm": None}, "spacing", None),
    ],
)
def test_what_is_unknown_is_not_made_up(fields, key, expected) -> None:
    header, _ = unpack(viewer.packet(result(model(), data=series(**fields))))
    assert header[key] == expected


@pytest.mark.parametrize(("along", "start"), [((0.1, 0.2, 0.9), 2), ((0.1, 0.2, 0.3), 1)])
def test_a_flagged_series_opens_at_its_worst_slice_others_in_the_middle(along, start) -> None:
    header, _ = unpack(viewer.packet(result(model(along=along), data=series())))
    assert header["start"] == start


def test_top_slices_are_the_highest_first_and_five_at_most() -> None:
    along = (0.1, 0.7, 0.3, 0.9, 0.2, 0.8, 0.4)
    assert viewer.most_suspicious(model(along=along)) == [3, 5, 1, 6, 2]
    assert viewer.most_suspicious(model(along=(0.4,))) == [0]


def test_a_series_without_result_can_be_seen() -> None:
    header, body = unpack(viewer.packet(result(data=series(), status="not analysed")))
    assert (header["models"], header["top"], header["flagged"], header["start"]) == ([], [], False, 1)
    assert len(body) == series().hu.nbytes


def test_a_large_series_is_sent_coarser_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    data = series(slices=3, rows=40, columns=60)
    monkeypatch.setattr(viewer, "_MAX_BYTES", data.hu.nbytes // 4)
    header, body = unpack(viewer.packet(result(data=data, status="not analysed")))
    assert (header["shape"], header["step"], header["spacing"]) == ([3, 20, 30], 2, [1.0, 0.8])
    np.testing.assert_array_equal(np.frombuffer(body, "<i2").reshape(3, 20, 30), data.hu[:, ::2, ::2])


def test_without_voxels_there_is_no_packet() -> None:
    with pytest.raises(ValueError, match=r"broken\.dcm.*found none"):
        viewer.packet(result(name="broken.dcm"))


def test_the_script_never_builds_html_from_text_or_stores_anything() -> None:
    for name in ("volume.js", "chart.js", "viewer.js"):
        text = viewer._text(name)
        for word in ("innerHTML", "insertAdjacentHTML", "localStorage", "sessionStorage", "indexedDB", "cookie"):
            assert word not in text, (name, word)
        assert "setStateValue" not in text, "scrolling would run the page again"
