from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ichscope.labels import LABELS, SUBTYPES

batches = pytest.importorskip("training.batches")
KINDS = pytest.importorskip("training.data.study").KINDS
data = pytest.importorskip("training.data")

SIZE = 224
NAN = float("nan")
# any, epidural, intraparenchymal, intraventricular, subarachnoid, subdural
NORMAL = (0, 0, 0, 0, 0, 0)
SUBDURAL = (1, 0, 0, 0, 0, 1)
TWO_KINDS = (1, 0, 1, 1, 0, 0)
ANY_ONLY = (1, NAN, NAN, NAN, NAN, NAN)
UNKNOWN = (NAN,) * 6


def labels(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def mask(*squares: tuple[slice, slice]) -> NDArray[np.uint8]:
    made = np.zeros((SIZE, SIZE), np.uint8)
    for square in squares:
        made[square] = 1
    return made


def study(
    *rows: tuple[float, ...], source: str = "ct-ich", patient: str = "p", outlined: bool = True, pictures: bool = False
):
    count = len(rows)
    hu = np.full((count, SIZE, SIZE), 30, np.int16)
    masks = np.stack([mask((slice(64, 128), slice(80, 144))) if row[0] == 1 else mask() for row in rows])
    return data.TrainingStudy(
        source,
        patient,
        f"{source}/{patient}",
        hu,
        labels(*rows),
        masks if outlined else None,
        ("x",) * count,
        5.0,
        pictures,
    )


# ---------------------------------------------------------------- evidence_target


def test_without_an_outline_nothing_is_known() -> None:
    target = batches.evidence_target(None, labels(SUBDURAL)[0])
    assert target.shape == (28, 28, len(LABELS))
    assert np.isnan(target).all()


@pytest.mark.parametrize(
    ("rows", "expected"), [(0, 0.0), (1, NAN), (2, 1.0), (8, 1.0)], ids=["none", "an eighth", "a quarter", "all"]
)
def test_a_cell_counts_by_its_share_of_blood(rows: int, expected: float) -> None:
    blood = mask((slice(40, 40 + rows), slice(80, 88)))
    target = batches.evidence_target(blood, labels(SUBDURAL)[0])
    np.testing.assert_equal(target[5, 10, 0], np.float32(expected))
    assert target[5, 11, 0] == target[6, 10, 0] == 0


@pytest.mark.parametrize(
    ("row", "inside", "outside"),
    [
        (NORMAL, (1, 0, 0, 0, 0, 0), NORMAL),
        (SUBDURAL, SUBDURAL, NORMAL),
        (TWO_KINDS, (1, 0, NAN, NAN, 0, 0), NORMAL),
        (ANY_ONLY, (1, NAN, NAN, NAN, NAN, NAN), NORMAL),
        ((NAN, NAN, 1, NAN, NAN, NAN), (1, NAN, 1, NAN, NAN, NAN), NORMAL),
    ],
)
def test_the_mask_tells_a_kind_only_where_there_is_one(
    row: tuple[float, ...], inside: tuple[float, ...], outside: tuple[float, ...]
) -> None:
    target = batches.evidence_target(mask((slice(64, 128), slice(80, 144))), labels(row)[0])
    np.testing.assert_array_equal(target[10, 12], np.float32(inside))
    np.testing.assert_array_equal(target[2, 2], np.float32(outside))


def test_where_an_outline_is_in_doubt_nothing_is_known() -> None:
    outlines = mask((slice(64, 128), slice(80, 144)))
    outlines[128:136] = 2
    outlines[64:66, 80:88] = 2
    target = batches.evidence_target(outlines, labels(SUBDURAL)[0])
    assert np.isnan(target[16, :, [0, 5]]).all()
    assert (target[8, 10, [0, 5]] == 1).all(), "enough of the cell is blood"
    assert (target[17, :, 0] == 0).all()


def test_a_part_has_a_smaller_grid() -> None:
    assert batches.evidence_target(mask()[:96, :96], labels(NORMAL)[0]).shape == (12, 12, 6)


# ---------------------------------------------------------------- parts of slices


@pytest.mark.parametrize(
    ("row", "pixels", "expected"),
    [
        (NORMAL, 0, NORMAL),
        (SUBDURAL, 0, NORMAL),
        (SUBDURAL, 14, SUBDURAL),
        (SUBDURAL, 13, (NAN, 0, 0, 0, 0, NAN)),
        (TWO_KINDS, 0, NORMAL),
        (TWO_KINDS, 500, (NAN, 0, NAN, NAN, 0, 0)),
        (ANY_ONLY, 0, (0, NAN, NAN, NAN, NAN, NAN)),
    ],
)
def test_labels_of_a_part(row: tuple[float, ...], pixels: int, expected: tuple[float, ...]) -> None:
    seen = np.zeros(96 * 96, np.uint8)
    seen[:pixels] = 1
    part = batches._part_labels(seen.reshape(96, 96), labels(row)[0])
    np.testing.assert_array_equal(part, np.float32(expected))
    assert part.dtype == np.float32


def test_beside_a_doubtful_outline_a_bleed_is_unknown() -> None:
    seen = np.zeros((96, 96), np.uint8)
    seen[5, 5] = 2
    np.testing.assert_array_equal(batches._part_labels(seen, labels(SUBDURAL)[0]), np.float32((NAN, 0, 0, 0, 0, NAN)))


# ---------------------------------------------------------------- masked_loss


def by_hand(
    target: NDArray[np.float32], logits: NDArray[np.float32], positive_weight: float, column_weights: tuple[float, ...]
) -> float:
    """Weighted mean cross-entropy over known targets, one extra unit of weight below the line."""
    total = weights = 0.0
    for index in np.ndindex(target.shape):
        if np.isnan(target[index]):
            continue
        p = 1 / (1 + np.exp(-np.float64(logits[index])))
        weight = column_weights[index[-1]] * (positive_weight if target[index] == 1 else 1.0)
        total += weight * -np.log(p if target[index] == 1 else 1 - p)
        weights += weight
    return total / (weights + 1)


@pytest.mark.parametrize("positive_weight", [1.0, 3.0])
@pytest.mark.parametrize(
    ("shape", "column_weights"), [((5, 6), (2, 1, 1, 1, 1, 1)), ((5, 1), (1,)), ((2, 4, 4, 6), (2, 1, 1, 1, 1, 1))]
)
def test_masked_loss_is_cross_entropy_of_what_is_known(
    shape: tuple[int, ...], column_weights: tuple[float, ...], positive_weight: float
) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, shape).astype(np.float32)
    target = rng.choice(np.array([0, 1, NAN], np.float32), shape)
    loss = float(batches.masked_loss(positive_weight)(batches.ops.convert_to_tensor(target), logits))
    assert loss == pytest.approx(by_hand(target, logits, positive_weight, column_weights), rel=1e-5)


def test_masked_loss_of_nothing_known_is_zero() -> None:
    target = batches.ops.convert_to_tensor(np.full((3, 6), NAN, np.float32))
    assert float(batches.masked_loss()(target, np.ones((3, 6), np.float32))) == 0


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_masked_loss_of_sure_logits_is_finite(logit: float) -> None:
    target = batches.ops.convert_to_tensor(np.array([[0.0], [1.0], [NAN]], np.float32))
    assert float(batches.masked_loss()(target, np.full((3, 1), logit, np.float32))) == pytest.approx(200 / 3, rel=1e-4)


def test_unknown_targets_leave_no_gradient() -> None:
    tf = pytest.importorskip("tensorflow")
    target = tf.constant([[0.0], [NAN], [1.0]])
    logits = tf.Variable([[0.5], [0.5], [0.5]])
    with tf.GradientTape() as tape:
        loss = batches.masked_loss()(target, logits)
    gradient = tape.gradient(loss, logits).numpy()[:, 0]
    assert gradient[0] > 0
    assert gradient[1] == 0
    assert gradient[2] < 0


# ---------------------------------------------------------------- SliceBatches


@pytest.fixture(scope="module")
def studies():
    return [
        study(NORMAL, NORMAL, patient="n"),
        study(SUBDURAL, NORMAL, patient="b"),
        study(SUBDURAL, NORMAL, source=batches.IMPLANTED, patient="i"),
        study(SUBDURAL, UNKNOWN, source="phe-sich", patient="x", outlined=False, pictures=True),
        study(SUBDURAL, UNKNOWN, source="phe-sich", patient="y", pictures=True),
        study(SUBDURAL, NORMAL, source="rsna-2019", patient="r", outlined=False),
        study(SUBDURAL, source="rsna-more", patient="rsna/s", outlined=False, pictures=True),
        study(NORMAL, source="rsna-more", patient="rsna/t", outlined=False, pictures=True),
        study((NAN, NAN, 0, NAN, NAN, NAN), source="phe-sich", patient="z", outlined=False, pictures=True),
    ]


@pytest.mark.parametrize(("crop", "grid"), [(224, 28), (96, 12)])
@pytest.mark.parametrize("names", [LABELS, ("any",), ("any", "subdural")])
def test_batches_have_the_shapes_of_the_model(studies, crop: int, grid: int, names: tuple[str, ...]) -> None:
    made = batches.SliceBatches(studies, names, batch=5, steps=3, seed=0, crop=crop)
    assert len(made) == 3
    hu, target = made[0]
    assert (hu.shape, hu.dtype) == ((5, crop, crop), np.int16)
    assert target["evidence"].shape == (5, grid, grid, len(names))
    assert target["slice"].shape == (5, len(names))
    assert {value.dtype for value in target.values()} == {np.dtype(np.float32)}


def test_columns_are_chosen_by_name(studies) -> None:
    whole, some = (
        batches.SliceBatches(studies, names, batch=12, steps=1, seed=3)[0][1] for names in (LABELS, ("any", "subdural"))
    )
    for name in whole:
        np.testing.assert_array_equal(whole[name][..., [0, 5]], some[name])


def test_batches_can_be_made_again_and_differ(studies) -> None:
    first, same = (batches.SliceBatches(studies, LABELS, batch=3, steps=2, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first[0][0], same[0][0])
    assert not np.array_equal(first[0][0], first[1][0])
    same.on_epoch_end()
    assert not np.array_equal(first[0][0], same[0][0])


def test_every_role_is_drawn_by_its_share(studies) -> None:
    pools = batches._pools(studies, parts=False)
    assert {
        role: sum(len(g) for hospital in hospitals for g in hospital.groups) for role, hospitals in pools.items()
    } == {
        "normal": 4,
        "bleeding": 1,
        "outlined": 1,
        "implant": 1,
        "beside implant": 1,
        "picture": 1,
        "bleeding picture": 2,
        "normal picture": 1,
        "outlined picture": 1,
    }
    assert set(pools) == set(batches._SHARES)


@pytest.mark.parametrize(
    ("row", "outlined", "roles"),
    [
        (SUBDURAL, False, {"bleeding"}),
        (UNKNOWN, True, set()),
        (NORMAL, False, {"normal"}),
    ],
)
def test_a_bleed_without_outline_trains_whole(row: tuple[float, ...], outlined: bool, roles: set[str]) -> None:
    assert set(batches._pools([study(row, outlined=outlined)], parts=False)) == roles
    assert set(batches._pools([study(row, outlined=outlined)], parts=True)) == roles - {"bleeding"}


def test_an_outline_that_misses_a_bleed_is_not_believed() -> None:
    missed = study(SUBDURAL, NORMAL)
    missed.mask[:] = 0
    target = batches.SliceBatches([missed], LABELS, batch=20, steps=1, seed=0)[0][1]
    bleeding = target["slice"][:, 0] == 1
    assert 0 < bleeding.sum() < 20
    assert np.isnan(target["evidence"][bleeding]).all()
    assert (target["evidence"][~bleeding] == 0).all()


def test_parts_need_an_outline(studies) -> None:
    made = batches.SliceBatches(studies, LABELS, batch=4, steps=1, seed=0, crop=96)
    assert "picture" not in made._pools
    assert "outlined picture" in made._pools


def pictures(count: int, row: tuple[float, ...], source: str, hospital: str, outlined: bool = False) -> list:
    return [
        study(row, source=source, patient=f"{hospital}/{source}{i}{row[0]}", outlined=outlined, pictures=True)
        for i in range(count)
    ]


def test_a_hospital_has_as_many_bleeding_pictures_as_others() -> None:
    """However many of either there are; so whose picture it is does not tell the label."""
    studies = [
        *pictures(4, SUBDURAL, "rsna-more", "rsna"),
        *pictures(60, NORMAL, "rsna-more", "rsna"),
        *pictures(9, SUBDURAL, "mine", "mine"),
        *pictures(1, NORMAL, "mine", "mine"),
    ]
    made = batches.SliceBatches(studies, LABELS, batch=4, steps=1, seed=0)
    rng = np.random.default_rng(0)
    drawn = np.mean([made._item(rng)[2][0] for _ in range(300)])
    assert drawn == pytest.approx(0.5, abs=0.09)
    assert [hospital.patients for hospital in made._pools["bleeding picture"]] == [4, 9]


@pytest.mark.parametrize(("sizes", "expected"), [([7], [1]), ([4, 9], [0.4, 0.6]), ([1, 1, 4], [0.25, 0.25, 0.5])])
def test_larger_sets_are_drawn_more_often_but_not_as_much_as_they_are_larger(
    sizes: list[int], expected: list[float]
) -> None:
    assert batches._odds(sizes) == pytest.approx(np.array(expected))


def test_bleeding_pictures_are_drawn_by_source_and_rarest_kind() -> None:
    epidural, many = (1, 1, 0, 0, 0, 1), (1, 0, 1, 0, 1, 1)
    studies = [
        *pictures(1, epidural, "rsna-more", "rsna"),
        *pictures(30, SUBDURAL, "rsna-more", "rsna"),
        *pictures(2, many, "rsna-sdh", "rsna"),
        *pictures(2, ANY_ONLY, "rsna-sdh", "rsna"),
    ]
    (hospital,) = batches._pools(studies, parts=False)["bleeding picture"]
    assert sorted(map(len, hospital.groups)) == [1, 2, 2, 30]


def test_slices_without_outlines_teach_by_their_strongest_evidence() -> None:
    studies = [*pictures(2, SUBDURAL, "rsna-more", "rsna"), *pictures(2, NORMAL, "rsna-more", "rsna")]
    target = batches.SliceBatches(studies, LABELS, batch=12, steps=1, seed=0)[0][1]
    assert np.isnan(target["evidence"]).all()
    np.testing.assert_array_equal(target["strongest"], target["slice"])
    outlined = batches.SliceBatches([study(SUBDURAL), study(NORMAL)], LABELS, batch=12, steps=1, seed=0)[0][1]
    assert np.isnan(outlined["strongest"]).all()


def test_normal_pictures_are_parts_only_beside_outlined_ones() -> None:
    alone = [*pictures(3, NORMAL, "rsna-more", "rsna"), *pictures(3, SUBDURAL, "rsna-more", "rsna")]
    assert batches._pools(alone, parts=True) == {}
    with_outlines = [*alone, *pictures(1, SUBDURAL, "bhsd", "rsna", outlined=True)]
    assert set(batches._pools(with_outlines, parts=True)) == {"normal picture", "outlined picture"}


@pytest.mark.parametrize(("crop", "says"), [(224, "a labelled slice"), (96, "where it bleeds")])
def test_nothing_to_train_on_is_said(crop: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        batches.SliceBatches([study(UNKNOWN, outlined=False)], LABELS, batch=2, steps=1, seed=0, crop=crop)


def test_outlines_that_tell_kinds_teach_each_kind_where_it_is() -> None:
    kinds = mask((slice(0, 32), slice(0, 32))) * np.uint8(KINDS["intraparenchymal"])
    kinds[64:96, 64:96] = KINDS["intraventricular"]
    target = batches.evidence_target(kinds, labels(TWO_KINDS)[0])
    np.testing.assert_array_equal(target[1, 1], np.float32((1, 0, 1, 0, 0, 0)))
    np.testing.assert_array_equal(target[9, 9], np.float32((1, 0, 0, 1, 0, 0)))
    np.testing.assert_array_equal(target[20, 20], np.float32(NORMAL))
    np.testing.assert_array_equal(batches._part_labels(kinds[:48, :48], labels(TWO_KINDS)[0]), (1, 0, 1, 0, 0, 0))
    np.testing.assert_array_equal(batches._part_labels(kinds[:66, :66], labels(TWO_KINDS)[0]), (1, 0, 1, NAN, 0, 0))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [((NORMAL, NORMAL), True), ((NORMAL, SUBDURAL), False), ((NORMAL, UNKNOWN), False)],
)
def test_is_normal(rows: tuple[tuple[float, ...], ...], expected: bool) -> None:
    assert batches.is_normal(study(*rows)) is expected


# ---------------------------------------------------------------- implants


def fake_implant(hu, rng, kind, spacing_mm):
    if kind == "epidural":
        raise batches.NoRoomError(kind)
    row = [1.0 if name in ("any", kind) else 0.0 for name in LABELS]
    return hu + np.int16(1), np.ones(hu.shape, bool), labels(*[row] * len(hu))


def test_implants_are_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "implant", fake_implant)
    host = study(NORMAL, NORMAL)
    lines: list[str] = []
    pool = batches.implanted([host], per_kind=2, seed=0, cache=tmp_path, report=lines.append)
    assert len(pool) == 2 * (len(SUBTYPES) - 1), "no room for an epidural one"
    assert {made.source for made in pool} == {batches.IMPLANTED}
    assert {made.patient for made in pool} == {host.patient}
    assert len({made.study for made in pool}) == len(pool)
    assert pool[0].mask.dtype == np.uint8
    assert all(isinstance(made.hu, np.memmap) for made in pool), "thousands of them need no memory"
    assert lines == ["implants: 1 of 1 studies"]
    monkeypatch.setattr(batches, "implant", lambda *_: pytest.fail("was made before"))
    again = batches.implanted([host], per_kind=2, seed=0, cache=tmp_path, report=lines.append)
    for made, other in zip(pool, again, strict=True):
        np.testing.assert_array_equal(made.hu, other.hu)
        np.testing.assert_array_equal(made.labels, other.labels)


# ---------------------------------------------------------------- lookalikes


def test_what_is_bright_in_a_normal_head_is_marked_and_no_blood() -> None:
    rows, columns = np.indices((SIZE, SIZE)) - SIZE / 2
    radius = np.hypot(rows, columns)
    hu = np.select([radius < 70, radius < 80], [30, 800], -1000).astype(np.int16)
    hu[100:124, 108:116] = 55  # a falx
    marks = batches.lookalikes(np.repeat(hu[None], 5, axis=0))
    assert (marks[:, 104:120, 110:114] == 3).all()
    assert not marks[:, radius > 69].any(), "neither the skull nor its rim"
    assert (batches.evidence_target(marks[0], labels(NORMAL)[0]) == 0).all()


def test_without_a_head_nothing_is_marked() -> None:
    assert not batches.lookalikes(np.full((3, SIZE, SIZE), -1000, np.int16)).any()
