"""Whatever a user hands over (files, folders, ZIPs, uploads) into groups of files, one a series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Literal

from ichscope.imaging.facts import series_facts
from ichscope.imaging.geometry import clusters
from ichscope.imaging.identity import identity_of, picture_identity
from ichscope.imaging.person import contradiction, tell_apart, told_apart_by
from ichscope.imaging.series import Finding, Identity, SeriesFacts
from ichscope.imaging.single_images import series_of
from ichscope.imaging.sorting import BESIDE, DicomImage, left_out, sort_files
from ichscope.imaging.source import Source, digest
from ichscope.imaging.sources import STRAY_FOLDERS, Rejected, SeriesSource, natural_order, series_source, walk
from ichscope.imaging.speaker import speaker

__all__ = ["STRAY_FOLDERS", "Group", "Intake", "Rejected", "Source", "collect", "natural_order", "walk"]


@dataclass(frozen=True)
class Group:
    """The files of one series, or one picture; `study` and `key` are short hashes, never identifiers.

    findings : what sorting chose without being forced to
    """

    kind: Literal["ct", "picture"]
    study: str
    key: str
    sources: tuple[Source, ...]
    facts: SeriesFacts = field(default_factory=SeriesFacts, compare=False)
    findings: tuple[Finding, ...] = field(default=(), compare=False)

    @property
    def identity(self) -> Identity:
        """The keys, as the reader takes them on."""
        return Identity(self.study, self.key)


@dataclass(frozen=True)
class Intake:
    """All that was handed over: series, files that should have been readable, and strays that are no images."""

    groups: tuple[Group, ...]
    rejected: tuple[Rejected, ...]
    ignored: tuple[str, ...]

    @property
    def left_out(self) -> tuple[int, int]:
        """How many pictures that lie beside DICOM images, and how many other files, are no images of a series."""
        pictures = sum(name.endswith(f"({BESIDE})") for name in self.ignored)
        return pictures, len(self.ignored) - pictures

    @property
    def left_out_text(self) -> str:
        """The same in words, with a few names; "" for none."""
        pictures_first = sorted(self.ignored, key=lambda name: name.endswith(f"({BESIDE})"), reverse=True)
        return left_out(*self.left_out, [name.removesuffix(f" ({BESIDE})") for name in pictures_first])

    @property
    def studies(self) -> tuple[tuple[Group, ...], ...]:
        """The groups of each study, the one that speaks for it first; studies in order of their first name."""
        return studies_of(self.groups)


def collect(
    inputs: Iterable[Path | str | Source | tuple[str, bytes] | SeriesSource],
    pictures_as_series: bool = False,
    stray_pictures: bool = True,
) -> Intake:
    """Sort files into series without decoding pixels.

    Parameters
    ----------
    inputs : files, folders (searched to the bottom) and ZIP archives, as paths or as (name, bytes); or, as Sources,
        files that a folder was found to hold, where one that is no image is a stray; or any other SeriesSource
    pictures_as_series : take all pictures of one folder or archive as one series, in natural name order
    stray_pictures : leave out pictures that lie with DICOM images in what was handed over, as on a patient's CD

    Returns
    -------
    the groups in order of their names; whatever is in none of them is in `rejected` or `ignored`. Of too many files
    none is taken, and one reason says so

    Examples
    --------
    >>> collect([("a/notes.txt", b"text"), ("a/IM1.dcm", b"text")])
    Intake(groups=(), rejected=(Rejected(name='a/IM1.dcm', reason="holds text; expected a DICOM file ('DICM' at byte \
128)"),), ignored=('a/notes.txt',))
    """
    files = sort_files(series_source(item) for item in inputs)
    if stray_pictures and not pictures_as_series:
        files.leave_pictures()
    pictures, copies = picture_groups(files.pictures, pictures_as_series, {})
    groups = _series_groups(files.images) + pictures
    groups.sort(key=lambda group: natural_order(group.sources[0].name))
    return Intake(tuple(groups), tuple(files.rejected), (*files.ignored, *copies))


def studies_of(groups: Iterable[Group]) -> tuple[tuple[Group, ...], ...]:
    """The groups of each study, the one that speaks for it first; studies in order of their first group."""
    studies: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        studies[group.study].append(group)
    return tuple(
        tuple(members[index] for index in speaker([group.facts for group in members]).order)
        for members in studies.values()
    )


def _series_groups(images: list[DicomImage]) -> list[Group]:
    studies: dict[tuple[str, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.examination].append(image)
    return [group for members in studies.values() for group in study_groups(members)]


def study_groups(images: Sequence[DicomImage]) -> list[Group]:
    """Groups of the images of one examination; of several patients whose files bear its UID, each has their own."""
    people = [image.person for image in images]
    patients = tell_apart(people)
    findings: tuple[Finding, ...] = ()
    if len(patients) > 1:
        shared = "StudyInstanceUID" if images[0].study else "SeriesInstanceUID"
        findings = (contradiction(told_apart_by(people), len(patients), shared),)
    marks = ["", *(person.mark([other for other, _ in patients]) for person, _ in patients[1:])]
    return [
        group
        for mark, (_, places) in zip(marks, patients, strict=True)
        for group in _patients_groups([images[place] for place in places], mark, findings)
    ]


def _patients_groups(images: Sequence[DicomImage], mark: str, findings: tuple[Finding, ...]) -> list[Group]:
    """One group a series, and one more for each part of it that cannot be in one volume with the rest."""
    groups = []
    for uid, members, remarks in series_of(images):
        volumes = clusters([image.shape for image in members])
        parts = [part for volume in volumes for part in _by_kernel([members[i] for i in volume])]
        files = [image.source for image in members]
        for number, part in enumerate(parts):
            identity = identity_of(members[0].study, uid, files, number, mark)
            sources = tuple(image.source for image in part)
            facts = series_facts([image.facts for image in part])
            groups.append(Group("ct", identity.study, identity.series, sources, facts, (*findings, *remarks)))
    return groups


def _by_kernel(images: list[DicomImage]) -> list[list[DicomImage]]:
    """Two reconstructions of the same places, or between each other's, are two volumes; a kernel that changes on the
    way up is not.
    """
    places = {image.facts.position for image in images}
    kernels: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        kernels[image.facts.kernel].append(image)
    parts = sorted(kernels.values(), key=len, reverse=True)
    if len(parts) < 2 or any(len({image.facts.position for image in part}) < 2 for part in parts):
        return [images]
    return parts if len(places) < len(images) or _interleaved(parts) else [images]


def _interleaved(parts: list[list[DicomImage]]) -> bool:
    """Whether two parts cover mostly the same range of the body."""
    ranges = []
    for part in parts:
        along = [place for image in part if (place := image.place) is not None]
        if len(along) < len(part):
            return False
        ranges.append((min(along), max(along)))
    return any(
        2 * (min(high, other_high) - max(low, other_low)) > min(high - low, other_high - other_low)
        for (low, high), (other_low, other_high) in combinations(ranges, 2)
    )


def picture_groups(pictures: Iterable[Source], as_series: bool, seen: dict[str, str]) -> tuple[list[Group], list[str]]:
    """One group a picture, or one a folder.

    Parameters
    ----------
    seen : names of pictures by what is in them; grows by these

    Returns
    -------
    the groups, and the names of those that are left out because the same is there already
    """
    contents: dict[str, list[Source]] = defaultdict(list)
    copies: list[str] = []
    for source in sorted(pictures, key=lambda source: natural_order(source.name)):
        content = digest([source])
        if content in seen:
            copies.append(f"{source.name} (the same picture as {seen[content]})")
            continue
        seen[content] = source.name
        contents[str(PurePosixPath(source.name).parent) if as_series else content].append(source)
    groups = []
    for sources in contents.values():
        identity, facts = picture_identity(sources), SeriesFacts("picture", slices=len(sources))
        groups.append(Group("picture", identity.study, identity.series, tuple(sources), facts))
    return groups, copies
