from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ichscope import home


def test_home_is_var_of_the_current_folder_unless_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ICHSCOPE_HOME", raising=False)
    assert home.home() == tmp_path / "var"
    monkeypatch.setenv("ICHSCOPE_HOME", "elsewhere")
    assert home.home() == tmp_path / "elsewhere"
    assert not home.home().exists(), "asking must make nothing"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_database_url_names_its_driver(url: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_DATABASE_URL", url)
    assert home.database_url() == expected


def test_database_is_a_file_at_home_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path))
    assert home.database_url() == f"sqlite:///{tmp_path}/ichscope.db"


def test_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    key = home.secret_key(folder)
    assert len(key) == 32
    assert home.secret_key(folder) == key
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == ["key"]
    assert home.secret_key(tmp_path / "other") != key


def test_many_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(home.secret_key, [tmp_path] * 32))
    assert len(keys) == 1


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "00" * 33])
def test_a_key_that_is_none_is_refused_and_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(ValueError, match="expected 64 hexadecimal digits"):
        home.secret_key(tmp_path)
    assert (tmp_path / "key").read_text() == content


def test_keyed_hash_depends_on_key_text_and_their_borders() -> None:
    # RFC 4231, test case 2.
    assert home.keyed_hash(b"Jefe", "what do ya want for nothing?") == "5bdcc146bf60754e"
    hashes = {home.keyed_hash(key, *parts) for key in (b"a", b"b") for parts in (("x", "yz"), ("xy", "z"), ("xyz",))}
    assert len(hashes) == 6


@pytest.mark.parametrize(("value", "keep"), [("", True), ("on", True), ("off", False), ("No", False), ("0", False)])
def test_volumes_can_be_switched_off(value: str, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_VOLUMES", value)
    assert home.keep_volumes() is keep
