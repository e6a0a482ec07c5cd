"""Short hashes that stand for a study and a series in every output; identifiers themselves never leave the header."""

from __future__ import annotations

from collections.abc import Sequence

from ichscope.imaging.elements import short_hash
from ichscope.imaging.series import Identity
from ichscope.imaging.source import Source, digest

__all__ = ["Identity", "identity_of", "picture_identity"]


def identity_of(
    study_uid: str, series_uid: str, sources: Sequence[Source], volume: int = 0, patient: str = ""
) -> Identity:
    """Keys of a CT series.

    Parameters
    ----------
    study_uid, series_uid : from the header; where one is missing, the files' contents stand in
    sources : all files of the series, in order
    volume : number of the volume, where a series holds several: 0 is the largest
    patient : what tells the patient from others whose files bear the same UIDs; "" for the first of them

    Examples
    --------
    >>> identity_of("1.2", "1.2.3", []) == identity_of("1.2", "1.2.3", [Source("a", data=b"any")])
    True
    >>> identity_of("1.2", "1.2.3", [], volume=1).series == identity_of("1.2", "1.2.3", []).series
    False
    """
    content = "" if study_uid and series_uid else digest(sources)
    part = [str(volume)] if volume else []
    study, series = short_hash(study_uid or content), short_hash(study_uid, series_uid, content, *part)
    return (
        Identity(other_patients_key(study, patient), other_patients_key(series, patient))
        if patient
        else Identity(study, series)
    )


def other_patients_key(key: str, patient: str) -> str:
    """The key in the place of one that another patient's study, or series, has already.

    Parameters
    ----------
    patient : as Person.mark

    Examples
    --------
    >>> other_patients_key("c47f5b18b8a430e6", "a") == other_patients_key("c47f5b18b8a430e6", "b")
    False
    """
    return short_hash(key, "patient", patient)


def picture_identity(sources: Sequence[Source]) -> Identity:
    """Keys of pictures: their contents', since they bear no identifiers; each is a study of its own.

    Examples
    --------
    >>> identity = picture_identity([Source("a.png", data=b"picture")])
    >>> identity.study == identity.series
    True
    """
    key = short_hash(digest(sources))
    return Identity(key, key)
