"""An archive that speaks DICOMweb: look for studies, fetch series, store results (DICOM PS3.18, QIDO, WADO, STOW)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import requests
from dicomweb_client.uri import build_query_string
from dicomweb_client.web import DICOMwebClient
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from ichscope.errors import barrier
from ichscope.pacs.archives import MOST_STUDIES, FoundSeries, FoundStudy, Query
from ichscope.pacs.deadline import ENDED, DeadlineAdapter
from ichscope.pacs.servers import DicomWebServer, PacsError
from ichscope.texts import writable

# As stored: an archive that had to decompress every slice would be slower, and might change it.
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_CHUNK_BYTES = 1 << 18
_Json = dict[str, dict[str, Any]]
_STUDY_FIELDS = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")
_SERIES_FIELDS = ("BodyPartExamined", "SeriesDescription", "NumberOfSeriesRelatedInstances")
# What the libraries write of a request names the study in its address.
for _name in ("dicomweb_client", "urllib3"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class DicomWeb:
    """One archive. What it asks ends within the time that the server's settings allow, whatever the archive does."""

    def __init__(self, server: DicomWebServer) -> None:
        self.server = server
        self._adapter = DeadlineAdapter()
        session = _session(server, self._adapter)
        times = (server.answer_s, server.answer_s)
        url = server.url.rstrip("/")
        self._client = _Client(url, session, chunk_size=_CHUNK_BYTES, permissive_uid=True, timeout=times)
        # Whoever calls decides whether and when to ask again.
        self._client.set_http_retry_params(retry=False)

    def echo(self) -> None:
        """DICOMweb has no question of its own for that."""

    def studies(self, query: Query, most: int = MOST_STUDIES) -> list[FoundStudy]:
        """Studies that fit a query.

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        with self._asking(self.server.answer_s * 3):
            found = self._client.search_for_studies(
                fields=_STUDY_FIELDS, search_filters=_filters(query), limit=most, get_remaining=False
            )
            return [study for one in found if (study := _study(one)).uid]

    def series(self, study_uid: str) -> list[FoundSeries]:
        """The series of a study.

        Raises
        ------
        PacsError
            if the archive cannot be asked
        """
        with self._asking(self.server.answer_s * 3):
            found = self._client.search_for_series(study_uid, fields=_SERIES_FIELDS)
            return [series for one in found if (series := _series(study_uid, one)).uid]

    def fetch(self, series: FoundSeries, folder: Path, stop: Event | None = None) -> int:
        """Write the instances of a series into a folder, each to a file of its own, in the order in which they come.

        stop : ends it

        Returns
        -------
        how many

        Raises
        ------
        PacsError
            if not all of it has come, or it cannot be written
        """
        count = 0
        with self._asking(self.server.whole_s, stop):
            for content in self._client.iter_parts(series):
                if stop is not None and stop.is_set():
                    raise PacsError(f"{self.server.name}: {ENDED}")
                (folder / f"{count:05}.dcm").write_bytes(content)
                count += 1
        if series.instances is not None and count < series.instances:
            raise PacsError(f"{self.server.name}: {count} of {series.instances} slices of a series came")
        return count

    def store(self, objects: Sequence[Dataset]) -> None:
        """Store objects.

        Raises
        ------
        PacsError
            if the archive has not taken all of them
        """
        with self._asking(self.server.whole_s):
            answer = self._client.store_instances(objects)
        taken = len(answer.get("ReferencedSOPSequence", ()))
        if answer.get("FailedSOPSequence") or taken < len(objects):
            raise PacsError(f"{self.server.name}: took {taken} of {len(objects)} objects")

    @contextmanager
    def _asking(self, seconds: float, stop: Event | None = None) -> Iterator[None]:
        """Let an exchange last so long, and say in words how it failed; what libraries say may name a patient."""
        name = self.server.name
        with self._adapter.connections.within(seconds, stop) as late:

            def told(text: str) -> PacsError:
                if stop is not None and stop.is_set():
                    text = ENDED
                return PacsError(f"{name}: {f'not done within {seconds:g} seconds' if late.is_set() else text}")

            with barrier(lambda kind: told(f"its answer is not understood ({kind})")):
                try:
                    yield
                except requests.HTTPError as error:
                    raise told(_refusal(error)) from None
                except (requests.RequestException, ConnectionError) as error:
                    raise told(self._broken(error)) from None
                except OSError as error:
                    raise PacsError(f"what {name} sends cannot be written: {error.strerror}") from None

    def _broken(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.InvalidJSONError):
            return "its answer is not understood (no JSON)"
        if isinstance(error, requests.Timeout):
            return f"no answer within {self.server.answer_s:g} seconds"
        if isinstance(error, requests.exceptions.SSLError):
            return "its certificate is not trusted, or TLS does not work"
        return "cannot be reached, or broke off"


class _Client(DICOMwebClient):
    """With the instances of a series as they came, byte by byte: a damaged one is for the intake to tell."""

    def _http_get(
        self,
        url: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Ask with plain wildcards: they may stand in an address (RFC 3986), and not every archive decodes them."""
        query = build_query_string(params).replace("%2A", "*").replace("%3F", "?")
        return super()._http_get(url + query, None, headers, stream)

    def iter_parts(self, series: FoundSeries) -> Iterator[bytes]:
        """Every instance of a series, in the form in which it is stored."""
        url = f"{self.base_url}/studies/{quote(series.study_uid)}/series/{quote(series.uid)}"
        with self._http_get(url, headers={"Accept": _ACCEPT}, stream=True) as response:
            yield from map(bytes, self._decode_multipart_message(response, stream=True))


def _session(server: DicomWebServer, adapter: DeadlineAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False  # no proxy and no .netrc that nobody has named
    if server.ca:
        session.verify = server.ca
    if server.certificate:
        session.cert = (server.certificate, server.key) if server.key else server.certificate
    if server.user_from:
        session.auth = (server.secret(server.user_from), server.secret(server.password_from))
    if server.token_from:
        session.headers["Authorization"] = f"Bearer {server.secret(server.token_from)}"
    return session


def _refusal(error: requests.HTTPError) -> str:
    status = error.response.status_code if error.response is not None else 0
    words = {401: "it does not know us", 403: "it does not let us", 404: "it has no such thing"}
    return f"{words.get(status, 'it cannot answer')} (status {status})"


def _filters(query: Query) -> dict[str, str]:
    # Some archives (Orthanc 1.10) do not decode the ^ of a name, which an address can only hold encoded.
    return query.keys() | {"PatientName": query.patient_name.replace("^", "?")} if query.patient_name else query.keys()


def _study(found: _Json) -> FoundStudy:
    return FoundStudy(
        uid=_text(found, "StudyInstanceUID"),
        patient_name=_text(found, "PatientName"),
        patient_id=_text(found, "PatientID"),
        accession=_text(found, "AccessionNumber"),
        date=_text(found, "StudyDate"),
        description=_text(found, "StudyDescription"),
        instances=_count(found, "NumberOfStudyRelatedInstances"),
    )


def _series(study_uid: str, found: _Json) -> FoundSeries:
    return FoundSeries(
        study_uid=study_uid,
        uid=_text(found, "SeriesInstanceUID"),
        modality=_text(found, "Modality").upper(),
        body_part=_text(found, "BodyPartExamined").upper(),
        description=_text(found, "SeriesDescription"),
        instances=_count(found, "NumberOfSeriesRelatedInstances"),
    )


def _value(found: _Json, name: str) -> Any:
    """As it stands there (PS3.18 F.2): pydicom would warn of values that break the standard, and repeat them."""
    return next(iter(found.get(f"{tag_for_keyword(name):08X}", {}).get("Value") or ()), None)


def _text(found: _Json, name: str) -> str:
    value = _value(found, name)
    text = value.get("Alphabetic") if isinstance(value, dict) else value
    return writable(str(text or "").strip())


def _count(found: _Json, name: str) -> int | None:
    value = _value(found, name)
    return int(value) if value is not None else None
