"""Whatever a user hands over (files, folders, ZIPs, uploads) into groups of files, one a series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from ichscope.imaging.facts import series_facts
from ichscope.imaging.geometry import clusters
from ichscope.imaging.identity import identity_of, picture_identity
from ichscope.imaging.series import Identity, SeriesFacts
from ichscope.imaging.sorting import DicomImage, SortedFiles, sort_files
from ichscope.imaging.source import Source, digest
from ichscope.imaging.sources import STRAY_FOLDERS, Rejected, SeriesSource, natural_order, series_source, walk
from ichscope.imaging.speaker import speaker

__all__ = ["STRAY_FOLDERS", "Group", "Intake", "Rejected", "Source", "collect", "natural_order", "walk"]


@dataclass(frozen=True)
class Group:
    """The files of one series, or one picture; `study` and `key` are short hashes, never identifiers."""

    kind: Literal["ct", "picture"]
    study: str
    key: str
    sources: tuple[Source, ...]
    facts: SeriesFacts = field(default_factory=SeriesFacts, compare=False)

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
    def studies(self) -> tuple[tuple[Group, ...], ...]:
        """The groups of each study, the one that speaks for it first; studies in order of their first name."""
        studies: dict[str, list[Group]] = defaultdict(list)
        for group in self.groups:
            studies[group.study].append(group)
        return tuple(
            tuple(groups[index] for index in speaker([group.facts for group in groups]).order)
            for groups in studies.values()
        )


def collect(
    inputs: Iterable[Path | str | Source | tuple[str, bytes] | SeriesSource], pictures_as_series: bool = False
) -> Intake:
    """Sort files into series without decoding pixels.

    Parameters
    ----------
    inputs : files, folders (searched to the bottom) and ZIP archives, as paths or as (name, bytes); or, as Sources,
        files that a folder was found to hold, where one that is no image is a stray; or any other SeriesSource
    pictures_as_series : take all pictures of one folder or archive as one series, in natural name order

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
    groups = _series_groups(files.images) + _picture_groups(files, pictures_as_series)
    groups.sort(key=lambda group: natural_order(group.sources[0].name))
    return Intake(tuple(groups), tuple(files.rejected), tuple(files.ignored))


def _series_groups(images: list[DicomImage]) -> list[Group]:
    """One group a series, and one more for each part of it that cannot be in one volume with the rest."""
    series: dict[tuple[str, ...], list[DicomImage]] = defaultdict(list)
    for image in images:
        folder = "" if image.series else str(PurePosixPath(image.source.name).parent)
        series[image.study, image.series, image.facts.modality, folder].append(image)
    groups = []
    for (study, uid, *_), members in series.items():
        volumes = clusters([image.shape for image in members])
        parts = [part for volume in volumes for part in _by_kernel([members[i] for i in volume])]
        files = [image.source for image in members]
        for number, part in enumerate(parts):
            identity = identity_of(study, uid, files, number)
            sources = tuple(image.source for image in part)
            facts = series_facts([image.facts for image in part])
            groups.append(Group("ct", identity.study, identity.series, sources, facts))
    return groups


def _by_kernel(images: list[DicomImage]) -> list[list[DicomImage]]:
    """Two reconstructions of the same places are two volumes; a kernel that changes on the way up is not."""
    places = {image.facts.position for image in images}
    kernels: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        kernels[image.facts.kernel].append(image)
    if len(places) == len(images) or any(
        len({image.facts.position for image in part}) < 2 for part in kernels.values()
    ):
        return [images]
    return sorted(kernels.values(), key=len, reverse=True)


def _picture_groups(files: SortedFiles, as_series: bool) -> list[Group]:
    contents: dict[str, list[Source]] = defaultdict(list)
    seen: dict[str, str] = {}
    for source in sorted(files.pictures, key=lambda source: natural_order(source.name)):
        content = digest([source])
        if content in seen:
            files.ignored.append(f"{source.name} (the same picture as {seen[content]})")
            continue
        seen[content] = source.name
        contents[str(PurePosixPath(source.name).parent) if as_series else content].append(source)
    groups = []
    for sources in contents.values():
        identity, facts = picture_identity(sources), SeriesFacts("picture", slices=len(sources))
        groups.append(Group("picture", identity.study, identity.series, tuple(sources), facts))
    return groups
