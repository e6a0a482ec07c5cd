"""Voxels and evidence of analysed series for later viewing: NIfTI files that say nothing of the patient."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from ichscope.atomic import replacing
from ichscope.errors import IchscopeError
from ichscope.home import make
from ichscope.imaging.series import Series
from ichscope.results import SeriesResult

# Not packed: gzip at its quickest halves the size (512 x 512, noise as of a real scan) and takes 30 times as long.
_ENDING = ".nii"
_EVIDENCE_MAX = 255
# Files that are removed together.
_AT_ONCE = 500


class VolumeError(IchscopeError):
    """A volume that cannot be read back; the message says why."""


def save(root: Path, content: str, result: SeriesResult) -> str | None:
    """Keep the voxels of a result, and each model's evidence beside them; whole files or none.

    Parameters
    ----------
    root : the folder of all volumes
    content : hash of the series' files; names the volume

    Returns
    -------
    the volume's path relative to `root`, or None where the result carries no voxels

    Raises
    ------
    OSError
        if there is no room, or the folder cannot be written
    """
    if (series := result.volume) is None:
        return None
    path = f"{content[:2]}/{content[:32]}{_ENDING}"
    make((root / path).parent)
    save_evidence(root, path, result)
    # The volume comes last: where it is, its evidence is complete.
    _write(root / path, series.hu, affine(series))
    return path


def save_evidence(root: Path, path: str, result: SeriesResult) -> None:
    """Keep each model's evidence beside the volume at `path`, in the place of an older one.

    Raises
    ------
    OSError
        if there is no room, or the folder cannot be written
    """
    for name, model in result.models.items():
        evidence = np.rint(_EVIDENCE_MAX * np.clip(model.evidence, 0, 1)).astype(np.uint8)
        _write(_evidence_path(root / path, name), evidence, np.eye(4))


def affine(series: Series) -> NDArray[np.float64]:
    """Voxel (column, row, slice) to mm in NIfTI's axes, which point to the patient's right, front and head."""
    between, rows, columns = series.spacing_mm or (None, 1.0, 1.0)
    return np.diag([-columns, -rows, between or 1.0, 1.0])


def read(root: Path, path: str) -> NDArray[np.int16]:
    """Voxels of a kept volume: (slices, rows, columns) int16 HU, as the viewer shows them.

    Raises
    ------
    VolumeError
        if the file is missing or damaged
    """
    voxels: NDArray[np.int16] = _read(root / path, np.int16)
    return voxels


def read_evidence(root: Path, path: str, model: str) -> NDArray[np.float32] | None:
    """Evidence of a model, (slices, h, w) float32, 0 to 1, to 1/255; None where none is kept.

    Raises
    ------
    VolumeError
        if the file is damaged
    """
    file = _evidence_path(root / path, model)
    if not file.exists():
        return None
    return _read(file, np.uint8).astype(np.float32) / np.float32(_EVIDENCE_MAX)


def prune(
    root: Path,
    older_than: timedelta,
    now: float | None = None,
    forget: Callable[[list[str]], object] = lambda paths: None,
) -> list[str]:
    """Remove the volumes that were last written so long ago, and what a killed process left behind.

    Parameters
    ----------
    forget : called with the paths of some volumes before these are removed, so that none is known and not there

    Returns
    -------
    the removed volumes' paths relative to `root`
    """
    before = (time.time() if now is None else now) - older_than.total_seconds()
    removed = []
    old = iter([path for path in _files(root) if _is_older(path, before)])
    while some := list(islice(old, _AT_ONCE)):
        volumes = {path: path.relative_to(root).as_posix() for path in some if path.suffixes == [_ENDING]}
        forget(list(volumes.values()))
        for path in some:
            if _is_older(path, before):  # written again meanwhile
                path.unlink(missing_ok=True)
                removed += [volumes[path]] if path in volumes else []
    return sorted(removed)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:  # another process prunes too
        return False


def _files(root: Path) -> Iterator[Path]:
    """Volumes, their evidence, and parts of either; nothing else that someone may have put there."""
    yield from (path for path in root.glob("??/*") if path.name.endswith(_ENDING) and path.is_file())


def _evidence_path(volume: Path, model: str) -> Path:
    # A model's name is a folder's name, so it holds no slash; a dot would look like another ending.
    return volume.with_name(f"{volume.stem}.{model.replace('.', '_')}{_ENDING}")


def _write(path: Path, voxels: NDArray[Any], transform: NDArray[np.float64]) -> None:
    """Write (slices, rows, columns) as NIfTI (columns, rows, slices)."""
    image = nibabel.Nifti1Image(voxels.transpose(2, 1, 0), transform)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    with replacing(path) as part, part.open("xb") as file:
        image.to_stream(file)


def _read(path: Path, kind: type[np.generic]) -> NDArray[Any]:
    try:
        image = nibabel.Nifti1Image.from_filename(path, mmap=False)
        voxels = np.asanyarray(image.dataobj)
    except FileNotFoundError:
        raise VolumeError("the volume is no longer kept") from None
    except (
        OSError,
        ValueError,
        EOFError,
        ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        WrapStructError,
    ) as error:
        raise VolumeError(f"the volume is damaged ({type(error).__name__})") from None
    if voxels.dtype != kind or voxels.ndim != 3:
        raise VolumeError(f"the volume is damaged: expected 3 axes of {np.dtype(kind)}, found {voxels.dtype}")
    return np.ascontiguousarray(voxels.transpose(2, 1, 0))
