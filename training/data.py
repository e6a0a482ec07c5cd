"""Adapters from public collections of head CT to one form: stacks of model input with labels and masks.

    python -m training.data --root ../shared/data

prints what is there. The first call reads every picture (about three minutes on one core) and caches the
result; later calls map the cached arrays into memory.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.errors import InvalidDicomError
from scipy import ndimage

from ichscope.labels import LABELS, SUBTYPES
from ichscope.preprocess import INPUT_SIZE, head_box, resample

ADAPTER_VERSION = 2
SOURCES = ("ct-ich", "phe-sich", "rsna-sdh", "rsna-sample")
DEFAULT_CACHE = Path(".cache/training")
# A picture is read as level 40, width 80, as ichscope.images does.
_PICTURE_HU = 80.0


@dataclass(frozen=True, eq=False)
class TrainingStudy:
    """One study as training sees it; slices run from foot to head.

    hu : (n, 224, 224) int16 HU, as ``ichscope.preprocess.model_input`` gives it
    labels : (n, 6) float32 in the order of LABELS; nan is unknown
    patient : prefixed by the hospital's collection; the two RSNA sources share theirs, since they share patients
    mask : (n, 224, 224) uint8, 1 where readers outlined the bleed; None where nobody outlined
    names : the file of each slice, relative to the collection
    pictures : the HU come from 8-bit pictures and end at the window's limits (0 to 80 HU)
    """

    source: str
    patient: str
    study: str
    hu: NDArray[np.int16]
    labels: NDArray[np.float32]
    mask: NDArray[np.uint8] | None
    names: tuple[str, ...]
    spacing_mm: float | None = None
    pictures: bool = False


@dataclass(frozen=True)
class Problem:
    """A file that could not be used fully, and why."""

    file: str
    reason: str


# --- loading -------------------------------------------------------------------------------------------


def load(root: Path, sources: Sequence[str] = SOURCES, cache: Path = DEFAULT_CACHE) -> list[TrainingStudy]:
    """Read collections below ``root``; a collection that is not there raises FileNotFoundError.

    Files that cannot be read are left out and listed by ``problems``.
    """
    return [study for source in sources for study in _load_source(Path(root), source, Path(cache))]


def problems(root: Path, sources: Sequence[str] = SOURCES, cache: Path = DEFAULT_CACHE) -> list[Problem]:
    """List the files that ``load`` left out or could read only in part."""
    found = []
    for source in sources:
        index = _cache_folder(Path(root), source, Path(cache)) / "index.json"
        found += [Problem(**entry) for entry in json.loads(index.read_text())["problems"]]
    return found


def _cache_folder(root: Path, source: str, cache: Path) -> Path:
    key = hashlib.sha256(f"{root.resolve()} {ADAPTER_VERSION} {INPUT_SIZE}".encode()).hexdigest()[:8]
    return cache / f"{source}-v{ADAPTER_VERSION}-{key}"


def _load_source(root: Path, source: str, cache: Path) -> list[TrainingStudy]:
    folder = _cache_folder(root, source, cache)
    if not (folder / "index.json").is_file():
        if not (root / source).is_dir():
            raise FileNotFoundError(f"{root / source}: expected the collection {source} here, found no folder")
        found: list[Problem] = []
        _save(folder, list(_ADAPTERS[source](root / source, found)), found)
    return _restore(folder)


def _save(folder: Path, studies: list[TrainingStudy], found: list[Problem]) -> None:
    """Write the index last: a run that was killed leaves no index and is done again."""
    folder.mkdir(parents=True, exist_ok=True)
    count = sum(len(study.hu) for study in studies)
    shape = (count, INPUT_SIZE, INPUT_SIZE)
    hu = np.lib.format.open_memmap(folder / "hu.npy", "w+", np.int16, shape)
    mask = np.lib.format.open_memmap(folder / "mask.npy", "w+", np.uint8, shape)
    start, entries = 0, []
    for study in studies:
        stop = start + len(study.hu)
        hu[start:stop] = study.hu
        mask[start:stop] = 0 if study.mask is None else study.mask
        entry = {name: getattr(study, name) for name in _INDEXED}
        entries.append({**entry, "start": start, "stop": stop, "masked": study.mask is not None})
        start = stop
    hu.flush()
    mask.flush()
    np.save(
        folder / "labels.npy",
        np.concatenate([np.zeros((0, len(LABELS)), np.float32), *(study.labels for study in studies)]),
    )
    index = {"studies": entries, "problems": [vars(problem) for problem in found]}
    (folder / "index.json").write_text(json.dumps(index, indent=1))


_INDEXED = ("source", "patient", "study", "names", "spacing_mm", "pictures")


def _restore(folder: Path) -> list[TrainingStudy]:
    hu = np.load(folder / "hu.npy", mmap_mode="r")
    mask = np.load(folder / "mask.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy").astype(np.float32)
    studies = []
    for entry in json.loads((folder / "index.json").read_text())["studies"]:
        part = slice(entry.pop("start"), entry.pop("stop"))
        masked = entry.pop("masked")
        entry["names"] = tuple(entry["names"])
        study = TrainingStudy(**entry, hu=hu[part], labels=labels[part], mask=mask[part] if masked else None)
        studies.append(study)
    return studies


# --- CT-ICH --------------------------------------------------------------------------------------------

_CT_ICH_COLUMNS = {name: name.capitalize() for name in SUBTYPES}


def _ct_ich(root: Path, found: list[Problem]) -> Iterator[TrainingStudy]:
    rows = defaultdict(list)
    for row in _rows(root / "hemorrhage_diagnosis.csv"):
        rows[int(row["PatientNumber"])].append(row)
    for folder in sorted((root / "Patients_CT").iterdir()):
        slices = sorted(rows.get(int(folder.name), []), key=lambda row: int(row["SliceNumber"]))
        hu, mask, labels, names = [], [], [], []
        for row in slices:
            number = row["SliceNumber"]
            one = _ct_ich_slice(folder, number, found)
            if one is None:
                continue
            hu.append(one)
            outline = _grey(folder / "mask" / f"{number}.png", found, missing_ok=True)
            mask.append(np.zeros(one.shape, bool) if outline is None else outline > 127)
            known = [float(row[_CT_ICH_COLUMNS[name]]) for name in SUBTYPES]
            labels.append([max(known), *known])
            names.append(f"Patients_CT/{folder.name}/{number}")
        if hu:
            patient = f"ct-ich/{folder.name}"
            yield _study("ct-ich", patient, patient, np.stack(hu), labels, names, np.stack(mask), 5.0)


def _ct_ich_slice(folder: Path, number: str, found: list[Problem]) -> NDArray[np.int16] | None:
    brain = _grey(folder / "brain" / f"{number}.jpg", found)
    bone = _grey(folder / "bone" / f"{number}.jpg", found)
    if brain is None:
        return None
    return rebuild_hu(brain, bone)


def rebuild_hu(brain: NDArray[np.uint8], bone: NDArray[np.uint8] | None) -> NDArray[np.int16]:
    """Rebuild HU from a brain window (level 40, width 120) and a bone window (level 700, width 3200).

    The brain window is exact to 1 HU where it is not clipped; beyond its ends the bone window takes over,
    and without a bone window the values stay at its ends (-20 and 100 HU).
    """
    hu = brain / 255 * 120 - 20
    if bone is not None:
        coarse = bone / 255 * 3200 - 900
        hu = np.where(brain < 3, np.minimum(coarse, hu), np.where(brain > 252, np.maximum(coarse, hu), hu))
    return np.rint(hu).astype(np.int16)


# --- PHE-SICH ------------------------------------------------------------------------------------------


# This scan starts at the chest, which would set the box of the whole study.
_PHE_SICH_HEAD_FROM = {"0163": 36}


def _phe_sich(root: Path, found: list[Problem]) -> Iterator[TrainingStudy]:
    patients = defaultdict(list)
    for row in _rows(root / "labels.csv"):
        patients[row["patient"]].append(row)
    for patient, rows in sorted(patients.items()):
        rows.sort(key=lambda row: int(row["slice"]))
        first = _PHE_SICH_HEAD_FROM.get(patient, 0)
        if first:
            found.append(Problem(rows[0]["file"], f"slices 0 to {first - 1} show no head: left out"))
            rows = rows[first:]
        read = [(row, _grey(root / row["file"], found)) for row in rows]
        kept = [(row, grey) for row, grey in read if grey is not None]
        if not kept:
            continue
        hu = _picture_hu(np.stack([grey for _, grey in kept]))
        turned = np.rot90(hu, quarter_turns(hu), axes=(1, 2))
        labels = proxy_labels(np.array([row["perihaematomal_region"] == "1" for row, _ in kept]))
        name = f"phe-sich/{patient}"
        names = [row["file"] for row, _ in kept]
        yield _study("phe-sich", name, name, turned, labels, names, pictures=True)


def quarter_turns(hu: NDArray[np.int16]) -> int:
    """Quarter turns for ``np.rot90`` that bring a head lying sideways upright: the head holder goes down.

    Heads of PHE-SICH face left or right; what lies beside the head (the holder) is behind it.
    """
    shown = hu[:, ::2, ::2] > 15
    components, _ = ndimage.label(shown, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    head = components == sizes.argmax()
    rest = shown & ~ndimage.binary_dilation(head, iterations=3)
    if not rest.any():
        return -1
    head_column = np.nonzero(head)[2].mean()
    rest_column = np.nonzero(rest)[2].mean()
    return -1 if rest_column >= head_column else 1


def proxy_labels(outlined: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Labels (n, 6) of a patient who bleeds, from slices with an outlined perihaematomal region (n,).

    Outlined: any and intraparenchymal are 1. Next to an outline: unknown, blood may reach there. Further
    away: no intraparenchymal bleed; whether another kind is there stays unknown.
    """
    labels = np.full((len(outlined), len(LABELS)), np.nan, np.float32)
    near = ndimage.binary_dilation(outlined, iterations=1)
    parenchyma = LABELS.index("intraparenchymal")
    labels[~near, parenchyma] = 0
    labels[outlined, parenchyma] = 1
    labels[outlined, LABELS.index("any")] = 1
    return labels


# --- RSNA ----------------------------------------------------------------------------------------------


def _rsna_sdh(root: Path, found: list[Problem]) -> Iterator[TrainingStudy]:
    for row in _rows(root / "labels.csv"):
        grey = _grey(root / row["file"], found)
        if grey is None:
            continue
        labels = [[float(row[name] or "nan") for name in LABELS]]
        patient, study = f"rsna/{row['group']}", f"rsna-sdh/{Path(row['file']).stem}"
        yield _study("rsna-sdh", patient, study, _picture_hu(grey[None]), labels, [row["file"]], pictures=True)


def _rsna_sample(root: Path, found: list[Problem]) -> Iterator[TrainingStudy]:
    labels = kaggle_labels(root / "labels.csv")
    groups = defaultdict(list)
    for path in sorted((root / "dicom").rglob("*.dcm")):
        try:
            with warnings.catch_warnings():
                # RSNA's anonymised UIDs are not valid UIDs; that is known and harms nothing here.
                warnings.filterwarnings("ignore", "Invalid value for VR UI", UserWarning)
                data = pydicom.dcmread(path)
                groups[data.StudyInstanceUID].append((path, data, dicom_hu(data)))
        except (InvalidDicomError, AttributeError, ValueError, OSError) as error:
            found.append(Problem(str(path.relative_to(root)), str(error)))
    for uid, files in sorted(groups.items()):
        files.sort(key=lambda file: float(file[1].ImagePositionPatient[2]))
        heights = np.diff([float(data.ImagePositionPatient[2]) for _, data, _ in files])
        unknown = [float("nan")] * len(LABELS)
        spacing = tuple(float(value) for value in files[0][1].PixelSpacing)
        yield _study(
            "rsna-sample",
            f"rsna/{files[0][1].PatientID}",
            f"rsna-sample/{uid}",
            np.stack([hu for _, _, hu in files]),
            [labels.get(path.stem, unknown) for path, _, _ in files],
            [str(path.relative_to(root)) for path, _, _ in files],
            spacing_mm=float(np.median(heights)) if len(heights) else None,
            pixel_spacing_mm=(spacing[0], spacing[1]),
        )


def dicom_hu(data: pydicom.Dataset) -> NDArray[np.int16]:
    """HU of one CT file: (rows, columns) int16. Padding outside the reconstruction becomes air."""
    hu = data.pixel_array.astype(np.float32) * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return np.asarray(np.clip(hu, -1024, 4095), np.int16)


def kaggle_labels(path: Path) -> dict[str, list[float]]:
    """Read ``ID_<sop>_<label>,0|1`` (duplicated rows and all) into slice -> six labels, nan if missing."""
    labels: dict[str, list[float]] = {}
    for row in _rows(path):
        slice_id, _, name = row["ID"].rpartition("_")
        labels.setdefault(slice_id, [float("nan")] * len(LABELS))[LABELS.index(name)] = float(row["Label"])
    return labels


# --- shared --------------------------------------------------------------------------------------------


def _study(
    source: str,
    patient: str,
    study: str,
    hu: NDArray[np.int16],
    labels: Iterable[Sequence[float]] | NDArray[np.float32],
    names: list[str],
    mask: NDArray[np.bool_] | None = None,
    spacing_mm: float | None = None,
    pictures: bool = False,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> TrainingStudy:
    box = head_box(hu, pixel_spacing_mm)
    small = resample(hu, box)
    if pictures:
        # Outside the picture resample puts air; a picture cannot show less than its window.
        small = np.maximum(small, 0)
    outline = None
    if mask is not None:
        # resample fills the outside with -1000: a mask drawn as -1000 and 0 keeps that outside empty.
        outline = (resample((mask * np.int16(1000) - np.int16(1000)), box) >= -500).astype(np.uint8)
    known = np.asarray(labels, np.float32)
    return TrainingStudy(source, patient, study, small, known, outline, tuple(names), spacing_mm, pictures)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _grey(path: Path, found: list[Problem], missing_ok: bool = False) -> NDArray[np.uint8] | None:
    """Read an 8-bit picture; one that is missing or broken is noted and None."""
    if missing_ok and not path.is_file():
        return None
    try:
        with Image.open(path, formats=["JPEG", "PNG"]) as image:
            return np.asarray(image.convert("L"))
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        found.append(Problem("/".join(path.parts[-3:]), reason))
        return None


def _picture_hu(grey: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.rint(grey / 255 * _PICTURE_HU).astype(np.int16)


_ADAPTERS = {"ct-ich": _ct_ich, "phe-sich": _phe_sich, "rsna-sdh": _rsna_sdh, "rsna-sample": _rsna_sample}


# --- folds ---------------------------------------------------------------------------------------------


def folds(studies: Sequence[TrainingStudy], k: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Fold of each study: all studies of a patient together, each label spread evenly in each source.

    Iterative stratification (Sechidis et al., ECML PKDD 2011): patients with the rarest label go first, each
    to the fold that has fewest of that label.
    """
    source_of: dict[str, str] = {}
    for study in studies:
        source_of.setdefault(study.patient, study.source)
    fold_of: dict[str, int] = {}
    for source in sorted(set(source_of.values())):
        fold_of |= _source_folds([study for study in studies if source_of[study.patient] == source], k, seed)
    return np.array([fold_of[study.patient] for study in studies], np.int64)


def _source_folds(studies: Sequence[TrainingStudy], k: int, seed: int) -> dict[str, int]:
    positive: dict[str, NDArray[np.bool_]] = {}
    for study in studies:
        has = (study.labels == 1).any(axis=0)
        positive[study.patient] = positive.get(study.patient, np.zeros(len(LABELS), bool)) | has
    patients = sorted(positive)
    np.random.default_rng(seed).shuffle(patients)
    table = np.array([positive[patient] for patient in patients])
    counts, sizes, fold_of = np.zeros((k, len(LABELS))), np.zeros(k), {}
    totals = np.where(table.any(axis=0), table.sum(axis=0), np.inf)
    rarest = [int(np.argmin(np.where(row, totals, np.inf))) if row.any() else -1 for row in table]
    order = sorted(range(len(patients)), key=lambda i: totals[rarest[i]] if rarest[i] >= 0 else np.inf)
    for i in order:
        wanted = counts[:, rarest[i]] if rarest[i] >= 0 else counts[:, 0]
        fold = int(np.lexsort((sizes, counts.sum(axis=1), wanted))[0]) if rarest[i] >= 0 else int(sizes.argmin())
        counts[fold] += table[i]
        sizes[fold] += 1
        fold_of[patients[i]] = fold
    return fold_of


# --- summary -------------------------------------------------------------------------------------------


def summary(studies: Sequence[TrainingStudy]) -> str:
    """Tell patients, studies, slices and, for each label, positive slices / known slices (patients)."""
    lines = [f"{'source':<12} {'patients':>8} {'studies':>8} {'slices':>7}" + "".join(f"{n:>22}" for n in LABELS)]
    for source, count in Counter(study.source for study in studies).items():
        mine = [study for study in studies if study.source == source]
        labels = np.concatenate([study.labels for study in mine])
        line = f"{source:<12} {len({s.patient for s in mine}):>8} {count:>8} {len(labels):>7}"
        for column in range(len(LABELS)):
            patients = len({s.patient for s in mine if (s.labels[:, column] == 1).any()})
            cell = f"{int((labels[:, column] == 1).sum())}/{int(np.isfinite(labels[:, column]).sum())} ({patients})"
            line += f"{cell:>22}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Load the collections and print the summary table and the problems found."""
    parser = argparse.ArgumentParser(description="Read the training collections and say what is there.")
    parser.add_argument("--root", type=Path, default=Path("../shared/data"), help="folder of the collections")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder for the cached arrays")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    options = parser.parse_args()
    print(summary(load(options.root, options.sources, options.cache)))
    print("positive slices / slices whose label is known (patients with a positive slice)")
    for problem in problems(options.root, options.sources, options.cache):
        print(f"{problem.file}: {problem.reason}")


if __name__ == "__main__":
    main()
