from __future__ import annotations

from pathlib import Path

import pytest

from ichscope.pacs.entity import DicomSettings, known_as
from ichscope.pacs.network import DicomNetwork
from ichscope.pacs.opening import opened
from ichscope.pacs.servers import DicomNetworkServer, DicomWebServer, read_servers, server
from ichscope.settings_file import SettingsError

WHOLE = """
[archives.hospital]
url = "https://pacs.example/dicom-web"
user_from = "PACS_USER"
password_from = "PACS_PASSWORD"
ca = "/etc/ssl/hospital.pem"
whole_s = 60
body_parts = ["HEAD"]

[archives.other]
url = "http://127.0.0.1:8042/dicom-web"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ichscope.toml"


def test_archives_are_named_in_a_file(file: Path) -> None:
    file.write_text(WHOLE)
    hospital, other = read_servers(file).values()
    assert hospital == DicomWebServer(
        "hospital",
        "https://pacs.example/dicom-web",
        user_from="PACS_USER",
        password_from="PACS_PASSWORD",
        ca="/etc/ssl/hospital.pem",
        whole_s=60,
        body_parts=("HEAD",),
    )
    assert "" in other.body_parts
    assert server("other", file) == other


def test_archives_of_dicoms_network_protocol_are_named_by_their_title(file: Path) -> None:
    file.write_text(
        "[archives.old]\ntitle = 'PACS'\nhost = '10.0.0.9'\nport = 11112\nget = false\ncommitment = true\n"
        "our_port = 11113\nresults = true\n[dicom]\ntitle = 'SCOPE'\naddress = '0.0.0.0'\n"
    )
    old = server("old", file)
    assert old == DicomNetworkServer(
        *("old", "PACS", "10.0.0.9"), port=11112, get=False, commitment=True, our_port=11113, results=True
    )
    assert isinstance(old, DicomNetworkServer)
    assert old.address == "PACS@10.0.0.9:11112"
    assert known_as(old, file) == DicomSettings("SCOPE", "0.0.0.0", 11113)
    archive = opened("old", file)
    assert isinstance(archive, DicomNetwork)
    assert archive.server == old


def test_where_nothing_is_named_there_is_no_archive(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_CONFIG", raising=False)
    assert read_servers() == {}
    with pytest.raises(SettingsError, match="found hospital; there is none"):
        server("hospital")
    file.write_text("[oidc]\n")
    assert read_servers(file) == {}
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_servers(file.with_name("another"))


def test_the_environment_names_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_CONFIG", str(file))
    file.write_text(WHOLE)
    assert list(read_servers()) == ["hospital", "other"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a", "is not TOML"),
        ("[archives]\nurl = 'http://h'", "found url in [archives]; expected [archives.url]"),
        ("[archives.a]", "has no url"),
        ("[archives.a]\nurl = 'ftp://h'", "[archives.a] has a url that is none; expected the address"),
        (
            "[archives.a]\nurl = 'http://h'\npassword = 'p'",
            "has password; expected one of answer_s, whole_s, results",
        ),
        ("[archives.a]\ntitle = 'PACS'", "has a title, but no host"),
        (
            "[archives.a]\nhost = 'h'",
            "has no url; expected the address of its DICOMweb service, or title, host and port",
        ),
        ("[archives.a]\nhost = 'h'\ntitle = 'P'\nurl = 'http://h'", "has host; expected one of"),
        ("[archives.a]\nhost = 'h'\ntitle = 'PACS of the hospital'", "expected an AE title, 1 to 16 letters"),
        ("[archives.a]\nhost = 'h'\ntitle = 'P'\nour_title = '\u00dc'", "has our_title = "),
        ("[archives.a]\nhost = 'h'\ntitle = 'P'\nport = 0", "has port = 0; expected a whole number, more than 0"),
        ("[archives.a]\nurl = 3", "has url = 3; expected a text"),
        ("[archives.a]\nurl = 'http://h'\nanswer_s = 0", "has answer_s = 0; expected seconds, more than 0"),
        ("[archives.a]\nurl = 'http://h'\nanswer_s = true", "has answer_s = True"),
        ("[archives.a]\nurl = 'http://h'\nbody_parts = 'HEAD'", "has body_parts = 'HEAD'; expected a list of texts"),
    ],
    ids=lambda value: str(len(value)),
)
def test_what_is_not_understood_is_said(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as told:
        read_servers(file)
    assert says in str(told.value)


def test_a_secret_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    some = DicomWebServer("a", "http://h", token_from="PACS_TOKEN")
    monkeypatch.delenv("PACS_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="names the variable PACS_TOKEN, which the environment does not have"):
        some.secret(some.token_from)
    monkeypatch.setenv("PACS_TOKEN", "t")
    assert some.secret(some.token_from) == "t"
