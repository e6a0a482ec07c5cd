from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ichscope import home
from ichscope.store import Store, inspection

OPEN_HOME = """
import logging, os, sys
from pathlib import Path
os.umask(0o022)
folder = Path(sys.argv[1])
for name in ("volumes/ab", "uploads/1"):
    (folder / name).mkdir(parents=True)
for name in ("ichscope.db", "volumes/ab/x.nii", "uploads/1/SMITH.dcm"):
    (folder / name).touch()
(folder / "link").symlink_to("/etc")
from ichscope import home
print(home.secure(folder), home.secure(folder))
(home.make(folder / "new/engines") / "made later").touch()
with home.as_the_user_wants():
    (folder.parent / "report.html").touch()
(folder / "and private again").touch()
"""


def modes(folder: Path) -> dict[str, int]:
    """Rights of all that is not as it should be."""
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    return {str(path): mode for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)}


def test_an_open_home_is_closed_with_all_that_is_in_it_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    done = subprocess.run([sys.executable, "-c", OPEN_HOME, str(folder)], check=True, capture_output=True, text=True)
    assert done.stdout == "8 0\n", "the folder, four in it, three files; the second look finds nothing"
    assert f"{folder} was open to other accounts of this computer: 8 of its files and folders" in done.stderr
    assert modes(folder) == {}
    assert stat.S_IMODE(Path("/etc").stat().st_mode) & 0o055, "links are not followed"
    assert stat.S_IMODE((tmp_path / "report.html").stat().st_mode) == 0o644


def test_a_folder_of_all_stays_one(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    assert home.secure(shared) == 0
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


WAYS = {
    "command": "from typer.testing import CliRunner; from ichscope.commands.cli import app;"
    "done = CliRunner().invoke(app, ['batch', sys.argv[1], '--models-folder', sys.argv[2]]); assert not done.exit_code",
    "providers": "from ichscope.models.autotuning import choose; choose([Path(sys.argv[2]) / 'cranioscan'])",
    "upload": "from io import BytesIO; from dashboard.upload_queue import UploadQueue; from ichscope.home import home;"
    "UploadQueue(home()).keep([('a/b/SMITH.dcm', BytesIO(b'x'))])",
    "store": "from ichscope.store import Store; Store.open(); os.kill(os.getpid(), 9)",
}


@pytest.mark.parametrize("first", WAYS)
def test_home_is_its_owners_whatever_comes_first(first: str, tmp_path: Path) -> None:
    from ichscope import phantom
    from tests.support import tiny_model

    phantom.write(phantom.make("subdural", 0, slices=2, size=32), tmp_path / "in")
    tiny_model.build(tmp_path / "models", name="cranioscan")
    begin = "import os, sys; from pathlib import Path; os.umask(0o022);"
    subprocess.run(
        [sys.executable, "-c", begin + WAYS[first], str(tmp_path / "in"), str(tmp_path / "models")],
        env={**os.environ, "ICHSCOPE_HOME": str(tmp_path / "new" / "home")},
        check=first != "store",
    )
    assert any((tmp_path / "new" / "home").rglob("*"))
    assert modes(tmp_path / "new") == {}


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


@pytest.mark.parametrize("name", ["a?mode=ro", "a#b", "a%20b", "a b", "Köpfe", "a@b:c&d=e"])
def test_a_home_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    folder = tmp_path / name
    assert make_url(home.database_url(folder)).database == str(folder / "ichscope.db")
    for _ in range(2):
        store = Store.open(home=folder)
        store.worklist.page(limit=1)
        store.close()
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "ichscope.db").stat().st_size
    assert inspection.look(folder, home.database_url(folder), home.read_key(folder)).fits


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
