"""Any collection trains by itself; what it cannot give is left out with a line, and too little is an error."""

from __future__ import annotations

import numpy as np
import pytest

from ichscope.labels import LABELS

material = pytest.importorskip("training.material")
splits = pytest.importorskip("training.splits")
data = pytest.importorskip("training.data")

NAN = float("nan")
NORMAL, SUBDURAL, ANY_ONLY, UNKNOWN = (0,) * 6, (1, 0, 0, 0, 0, 1), (1, *(NAN,) * 5), (NAN,) * 6


def study(*rows: tuple[float, ...], pictures: bool = False, outlined: bool = False, whole=None):
    hu = np.full((len(rows), 224, 224), 30, np.int16)
    mask = np.ones(hu.shape, np.uint8) if outlined else None
    labels = None if whole is None else np.array(whole, np.float32)
    names = ("x",) * len(rows)
    return data.TrainingStudy(
        "s", f"s/{id(hu)}", "s", hu, np.array(rows, np.float32), mask, names, 5.0, pictures, labels
    )


def split(*training, implants=(), held_out=()):
    return splits.Split(list(training), list(implants), list(held_out), [], [])


PICTURES = split(study(ANY_ONLY, pictures=True), study(NORMAL, pictures=True))
CT = split(
    study(SUBDURAL, NORMAL, outlined=True), study(NORMAL, NORMAL), implants=[study((1,) * 6, NORMAL, outlined=True)]
)


def test_a_model_gives_labels_that_are_known_both_ways() -> None:
    assert material.learnable(PICTURES, LABELS) == ("any",)
    assert material.learnable(CT, LABELS) == LABELS
    assert material.learnable(CT, ("any",)) == ("any",)
    assert material.learnable(split(), LABELS) == LABELS


def test_folds_of_the_same_collections_give_the_same_labels() -> None:
    bleeding, normal = study(SUBDURAL), study(NORMAL)
    one, other = split(normal, held_out=[bleeding]), split(bleeding, held_out=[normal])
    assert material.learnable(one, LABELS) == material.learnable(other, LABELS) == ("any", "subdural")


def test_a_label_of_whole_studies_is_known() -> None:
    own = split(study(UNKNOWN, UNKNOWN, whole=SUBDURAL), study(NORMAL, NORMAL, whole=NORMAL))
    assert material.learnable(own, LABELS) == ("any", "subdural")
    material.check(own, LABELS, None)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (PICTURES, ["no whole normal heads", "no outlines", "no neighbouring slices", "nothing known of epidural"]),
        (CT, []),
        (split(study(SUBDURAL, NORMAL), study(NORMAL)), ["no whole normal heads", "no outlines", "nothing known of"]),
        (
            split(study((NAN, NAN, 1, NAN, NAN, NAN), (NAN, NAN, 0, NAN, NAN, NAN), pictures=True, outlined=True)),
            ["no whole normal heads", "nothing known of", "haemorrhage is not known"],
        ),
    ],
)
def test_what_collections_cannot_give_has_a_line_each(made, says: list[str]) -> None:
    lines = list(material.left_out(made, LABELS, ""))
    assert len(lines) == len(says)
    assert all(line.startswith(start) for line, start in zip(lines, says, strict=True))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (split(study(NORMAL, pictures=True)), "with a bleed"),
        (split(study(ANY_ONLY, pictures=True)), "without one"),
        (split(study(UNKNOWN)), "with a bleed"),
        (split(), "with a bleed .*none"),
    ],
)
def test_one_side_alone_is_too_little(made, says: str) -> None:
    with pytest.raises(material.TooLittleDataError, match=rf"{says}.*add such a collection"):
        material.check(made, LABELS, None)


def test_bleeds_with_outlines_have_their_surroundings() -> None:
    material.check(split(study(ANY_ONLY, pictures=True, outlined=True)), LABELS, None)


def test_a_head_needs_labels_and_not_only_outlines() -> None:
    outlined = split(study((NAN, NAN, 1, NAN, NAN, NAN), pictures=True, outlined=True))
    material.check(outlined, LABELS, None)
    with pytest.raises(material.TooLittleDataError, match="of any nothing is known"):
        material.check(outlined, ("any",), None)


def test_a_fold_needs_somebody_to_hold_back() -> None:
    with pytest.raises(material.TooLittleDataError, match="fold 4 of 5 has nobody to hold back: found 2 patients"):
        material.check(PICTURES, LABELS, 4)


def test_slices_with_labels_alone_are_counted() -> None:
    slices = [study(SUBDURAL, pictures=True) for _ in range(4)]
    assert material.many_labelled_alone(slices, least=4)
    assert not material.many_labelled_alone([*slices[:3], study(SUBDURAL, outlined=True)], least=4)
