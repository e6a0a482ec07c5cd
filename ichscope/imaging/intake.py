"""Whatever a user hands over (files, folders, ZIPs, uploads) into groups of files, one a series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from ichscope.errors import UnexpectedError, barrier
from ichscope.imaging.apart import set_apart
from ichscope.imaging.elements import describe
from ichscope.imaging.facts import series_facts
from ichscope.imaging.geometry import clusters
from ichscope.imaging.identity import identity_of, picture_identity
from ichscope.imaging.person import Person, contradiction, tell_apart, told_apart_by
from ichscope.imaging.series import Finding, FindingLevel, Identity, SeriesFacts
from ichscope.imaging.single_images import series_of
from ichscope.imaging.sorting import BESIDE, DicomImage, SortedFiles, left_out, sort_files
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
    inputs: Iterable[Path | str | Source | tuple[str, bytes | Path] | SeriesSource],
    pictures_as_series: bool = False,
    stray_pictures: bool = True,
) -> Intake:
    """Sort files into series without decoding pixels.

    Parameters
    ----------
    inputs : files, folders (searched to the bottom) and ZIP archives, as paths or, from a page, as (name, bytes or
        path); or, as Sources, files that a folder was found to hold, where one that is no image is a stray; or any
        other SeriesSource
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
    groups = _series_groups(files) + pictures
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


def _series_groups(files: SortedFiles) -> list[Group]:
    """The groups of all studies; a study that cannot be told apart is rejected, with the name of one of its files."""
    volumes: list[_Volume] = []
    for members in _studies(files.images):
        try:
            with barrier():
                volumes += _volumes(members)
        except UnexpectedError as error:
            files.reject(Rejected(members[0].source.name, f"and its study: {error}"))
    return _groups(volumes)


def study_groups(images: Sequence[DicomImage], elsewhere: Sequence[DicomImage] = ()) -> list[Group]:
    """Groups of the images of one examination; of several patients whose files bear its UID, each has their own.

    elsewhere : images of other examinations that share a frame of reference with these, for what is to be said of both
    """
    others = [volume for members in _studies(elsewhere) for volume in _volumes(members)]
    return _groups(_volumes(images), others)


def _studies(images: Sequence[DicomImage]) -> list[list[DicomImage]]:
    studies: dict[tuple[str, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.examination].append(image)
    return list(studies.values())


class _Volume(NamedTuple):
    """Images that may be one volume, the keys of their group, and what sorting them chose."""

    images: list[DicomImage]
    identity: Identity
    facts: SeriesFacts
    findings: tuple[Finding, ...]


def _groups(volumes: Sequence[_Volume], others: Sequence[_Volume] = ()) -> list[Group]:
    compared = [volume.images for volume in (*volumes, *others)]
    try:
        with barrier():
            remarks = set_apart(compared)
    except UnexpectedError as error:
        remarks = [(Finding(FindingLevel.WARNING, "unexpected-error", str(error)),)] * len(compared)
    groups = []
    for volume, apart in zip(volumes, remarks, strict=False):
        sources, keys = tuple(image.source for image in volume.images), volume.identity
        findings = (*volume.findings, *apart)
        groups.append(Group("ct", keys.study, keys.series, sources, volume.facts, findings))
    return groups


def _volumes(images: Sequence[DicomImage]) -> list[_Volume]:
    """Volumes of one examination, patient by patient."""
    people = [image.person for image in images]
    patients = tell_apart(people)
    findings: tuple[Finding, ...] = ()
    if len(patients) > 1:
        shared = "StudyInstanceUID" if images[0].study else "SeriesInstanceUID"
        findings = (contradiction(told_apart_by(people), len(patients), shared),)
    marks = ["", *(person.mark([other for other, _ in patients]) for person, _ in patients[1:])]
    return [
        volume
        for mark, (_, places) in zip(marks, patients, strict=True)
        for volume in _patients_volumes([images[place] for place in places], mark, findings)
    ]


def _patients_volumes(images: Sequence[DicomImage], mark: str, findings: tuple[Finding, ...]) -> list[_Volume]:
    """One a series, and one more for each part of it that cannot be in one volume with the rest."""
    found = []
    for uid, members, remarks in series_of(images):
        volumes = clusters([image.shape for image in members])
        parts = [part for volume in volumes for part in _by_reconstruction([members[i] for i in volume])]
        remarks = (*remarks, *_references(members, len(parts)))
        files = [image.source for image in members]
        for number, part in enumerate(parts):
            identity = identity_of(members[0].study, uid, files, number, mark)
            facts = series_facts([image.facts for image in part])
            found.append(_Volume(part, identity, facts, (*findings, *remarks)))
    return found


def _references(images: Sequence[DicomImage], volumes: int) -> tuple[Finding, ...]:
    """Frames of reference that contradict within a series, which has one (PS3.3 C.7.4.1).

    Of one volume whose images all name their patient nothing is said: they have been found to be of one.
    """
    count = len({image.frame_of_reference for image in images if image.frame_of_reference})
    named = volumes == 1 and all(image.person != Person() for image in images)
    if count < 2 or named or len({image.series for image in images}) > 1:
        return ()
    text = f"{describe('FrameOfReferenceUID')} contradicts itself within one {describe('SeriesInstanceUID')}: found "
    text += f"{count}, expected one. The images may be of two scans or two patients."
    return (Finding(FindingLevel.WARNING, "frame-of-reference", text),)


def _by_reconstruction(images: list[DicomImage]) -> list[list[DicomImage]]:
    """Parts in the same places, or between each other's, that differ in frame of reference or kernel are volumes of
    their own; where one of these changes on the way up, the slices are one volume.
    """
    references = Counter(image.frame_of_reference for image in images if image.frame_of_reference)
    usual = references.most_common(1)[0][0] if references else ""
    of_reference = _parts(images, lambda image: image.frame_of_reference or usual)
    return [part for some in of_reference for part in _parts(some, lambda image: image.facts.kernel)]


def _parts(images: list[DicomImage], said: Callable[[DicomImage], str]) -> list[list[DicomImage]]:
    """The images by what their headers say of one thing, or all together."""
    places = {image.facts.position for image in images}
    groups: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        groups[said(image)].append(image)
    parts = sorted(groups.values(), key=len, reverse=True)
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
