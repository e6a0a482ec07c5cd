from pathlib import Path

import pytest

from ichscope.atomic import replacing


def test_the_file_changes_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == tmp_path
        assert part.name.endswith(path.name)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stays_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_one_who_wrote_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
