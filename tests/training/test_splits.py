from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

splits = pytest.importorskip("training.splits")
data = pytest.importorskip("training.data")


def study(source: str, patient: str, positive: bool, pictures: bool = False):
    labels = np.zeros((2, 6), np.float32)
    labels[0, [0, 2]] = positive
    hu = np.full((2, 224, 224), 30, np.int16)
    return data.TrainingStudy(source, patient, patient, hu, labels, None, ("a", "b"), 5.0, pictures)


COLLECTIONS = {
    "ct-ich": [study("ct-ich", f"ct-ich/{i}", i % 2 == 0) for i in range(20)],
    "phe-sich": [study("phe-sich", f"phe-sich/{i}", True, pictures=True) for i in range(10)],
    "rsna-sample": [study("rsna-sample", f"rsna/{i}", i == 0) for i in range(4)],
    "rsna-2019": [study("rsna-2019", f"rsna/{i}", True) for i in (2, 4, 8, 9)],
    "rsna-sdh": [study("rsna-sdh", f"rsna/{i}", True, pictures=True) for i in range(3, 6)],
}


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """Split the collections above; implants are their hosts, and pseudo-masks say nothing."""
    root = tmp_path_factory.mktemp("collections")
    for name in COLLECTIONS:
        (root / name).mkdir()
    monkeypatch.setattr(
        splits, "load", lambda root, sources, cache, limit=None: [s for n in sources for s in COLLECTIONS[n][:limit]]
    )
    monkeypatch.setattr(splits, "implanted", lambda hosts, *_: [replace(host, source="implanted") for host in hosts])
    monkeypatch.setattr(splits, "pseudo_mask", lambda hu, marked: np.zeros(hu.shape, np.uint8))

    def made(
        fold: int | None, without: str = "", cache: Path = Path("none"), sources=("ct-ich", "phe-sich"), rehearse=False
    ):
        return splits.split(root, cache, fold, 1, without, sources, rehearse)

    return made


def patients(studies) -> set[str]:
    return {study.patient for study in studies}


def test_every_patient_is_held_out_once(split, tmp_path: Path) -> None:
    folds = [split(fold, cache=tmp_path) for fold in range(5)]
    everyone = patients(COLLECTIONS["ct-ich"] + COLLECTIONS["phe-sich"])
    for fold in folds:
        assert patients(fold.training) | patients(fold.held_out) == everyone
        assert not patients(fold.training) & patients(fold.held_out)
        assert patients(fold.training_implants) <= patients(fold.training)
        assert patients(fold.held_out_implants) <= patients(fold.held_out)
        assert not patients(fold.elsewhere) & everyone
    held_out = [patient for fold in folds for patient in patients(fold.held_out)]
    assert sorted(held_out) == sorted(everyone)


def test_without_a_fold_everyone_trains(split, tmp_path: Path) -> None:
    made = split(None, cache=tmp_path)
    assert not made.held_out
    assert len(made.training) == 30
    assert patients(made.elsewhere) == {f"rsna/{i}" for i in range(6)}
    assert [s.patient for s in made.elsewhere if s.source == "rsna-sdh"] == ["rsna/4", "rsna/5"], "no patient twice"


def test_only_normal_ct_hosts_implants(split, tmp_path: Path) -> None:
    assert patients(split(None, cache=tmp_path).training_implants) == {f"ct-ich/{i}" for i in range(1, 20, 2)}


def test_a_collection_of_bleeds_does_not_teach_any(split, tmp_path: Path) -> None:
    for study in split(None, cache=tmp_path).training:
        assert np.isnan(study.labels[:, 0]).all() == (study.source == "phe-sich")
    assert all(np.isfinite(study.labels[:, 0]).all() for study in split(0, cache=tmp_path).held_out)


def test_what_is_left_out_is_left_out(split, tmp_path: Path) -> None:
    made = split(0, "phe-sich", tmp_path)
    assert {study.source for study in made.training} == {"ct-ich"}
    assert patients(COLLECTIONS["phe-sich"]) <= patients(made.held_out)
    assert split(0, "implants", tmp_path).training_implants == []


def test_who_measures_does_not_train_under_another_name(split, tmp_path: Path) -> None:
    made = split(None, cache=tmp_path, sources=("ct-ich", "rsna-2019"))
    assert patients(made.training) == patients(COLLECTIONS["ct-ich"]) | {"rsna/8", "rsna/9"}
    assert not patients(made.training) & patients(made.elsewhere)


def test_hosts_are_some_hundreds_at_most() -> None:
    normal = [study("rsna-2019", str(i), False) for i in range(1000)]
    assert len(splits.hosts(normal)) == 250
    assert len(splits.hosts(normal[: splits.MOST_HOSTS - 1])) == splits.MOST_HOSTS - 1
    assert len(splits.hosts(normal, rehearse=True)) == 2
    assert not splits.hosts([normal[0].part(slice(0, 1))]), "a slice without neighbours"


def test_pseudo_masks_of_pictures_are_made_once(split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [study for study in split(0, cache=tmp_path).training if study.pictures]
    assert all(study.mask is not None for study in first)
    monkeypatch.setattr(splits, "pseudo_mask", lambda *_: pytest.fail("was made before"))
    again = [study for study in split(0, cache=tmp_path).training if study.pictures]
    np.testing.assert_array_equal(first[0].mask, again[0].mask)


def test_provenance_names_licences_and_what_only_tested(split, tmp_path: Path) -> None:
    rows = splits.provenance(split(None, cache=tmp_path), pretrained=True)
    uses = {(row["name"], row["use"]): row for row in rows}
    assert uses["ct-ich", "training"]["patients"] == 20
    assert uses["phe-sich", "training"]["slices"] == 20
    assert uses["synthetic bleeds in normal ct-ich heads", "training"]["licence"] == "CC BY 4.0"
    host = COLLECTIONS["rsna-2019"][0]
    assert splits._named(replace(host, source="implanted")) == ("synthetic bleeds in normal rsna heads", "rsna")
    assert "non-commercial" in splits._CITATIONS["rsna"][0]
    assert uses["rsna-sdh", "figures only"]["licence"] == "non-commercial use"
    assert ("ImageNet", "pre-trained backbone") in uses
    assert all(row["licence"] and row["citation"] for row in rows)


# ---------------------------------------------------------------- RSNA in training


@pytest.fixture
def with_rsna(split):
    """Folds of CT-ICH and RSNA slices together."""
    return lambda fold, without="": split(fold, without, sources=("rsna-sdh", "ct-ich", "rsna-2019"))


def test_rsna_slices_are_held_out_by_fold_where_they_train(with_rsna) -> None:
    measuring = patients(COLLECTIONS["rsna-sample"])
    rsna = patients(COLLECTIONS["rsna-sdh"] + COLLECTIONS["rsna-2019"]) - measuring
    held_out = [patient for fold in range(5) for patient in patients(with_rsna(fold).held_out) if "rsna" in patient]
    assert sorted(held_out) == sorted(rsna), "those of the sample go on measuring"
    assert {study.source for study in with_rsna(None).elsewhere} == {"rsna-sample"}


def test_a_hospital_is_left_out_whole_whatever_its_collections(with_rsna) -> None:
    made = with_rsna(0, "rsna")
    assert {study.hospital for study in made.training} == {"ct-ich"}
    assert {"rsna-sdh", "rsna-2019"} <= {study.source for study in made.held_out}


def test_folds_do_not_depend_on_the_order_of_collections(split) -> None:
    one, other = (split(1, sources=order) for order in (("rsna-sdh", "ct-ich"), ("ct-ich", "rsna-sdh")))
    assert patients(one.held_out) == patients(other.held_out)


def test_a_collection_that_measures_trains_if_it_is_asked_to(split) -> None:
    folds = [split(fold, sources=("rsna-sample",)) for fold in range(5)]
    expected = patients(COLLECTIONS["rsna-sample"]) - patients(COLLECTIONS["rsna-sdh"])
    assert set().union(*(patients(fold.held_out) for fold in folds)) == expected
    assert "rsna-sample" not in {study.source for fold in folds for study in fold.elsewhere}


def test_a_rehearsal_takes_a_few_of_each_side(split, tmp_path: Path) -> None:
    made = split(None, cache=tmp_path, rehearse=True)
    bleeding = [bool(study.bleeds.any()) for study in made.training if study.source == "ct-ich"]
    assert (bleeding.count(True), bleeding.count(False)) == (5, 5)
    assert len(patients(made.training_implants)) <= 2
    assert patients(made.held_out) == set()


def test_collections_that_are_there_are_found(tmp_path: Path) -> None:
    (tmp_path / "rsna-more" / "outlines").mkdir(parents=True)
    assert splits.present(tmp_path) == ["rsna-more", "bhsd"]
