"""An archive by its name, in whatever language it speaks."""

from __future__ import annotations

from pathlib import Path

from ichscope.pacs.archives import Archive
from ichscope.pacs.dicomweb import DicomWeb
from ichscope.pacs.entity import known_as
from ichscope.pacs.network import DicomNetwork
from ichscope.pacs.servers import DicomNetworkServer, DicomWebServer, server


def opened(name: str, file: Path | None = None) -> Archive:
    """The archive that the file of settings names so; nothing is asked of it yet.

    Raises
    ------
    SettingsError
        if there is none of this name, or what the file says of it cannot be used
    """
    match server(name, file):
        case DicomWebServer() as found:
            return DicomWeb(found)
        case DicomNetworkServer() as found:
            return DicomNetwork(found, known_as(found, file))
        case other:
            raise TypeError(type(other).__name__)
