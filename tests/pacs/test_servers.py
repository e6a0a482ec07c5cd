from __future__ import annotations

from pathlib import Path

import pytest

from ichscope.pacs.servers import DicomWebServer, read_servers, server
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
