import pytest

from dashboard.text import count, plain, sentence


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("head/IM0001", "head/IM0001"),
        ("a_b*c*", r"a\_b\*c\*"),
        ("![x](http://y)", r"\!\[x\]\(http\://y\)"),
        ("<b>:red[x]$1$", r"\<b\>\:red\[x\]\$1\$"),
        ("two\nlines\t here", "two lines here"),
        ("&lt; `code` ~~no~~", r"\&lt; \`code\` \~\~no\~\~"),
    ],
)
def test_plain(given: str, expected: str) -> None:
    assert plain(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("is empty", "Is empty."),
        ("Done.", "Done."),
        ("why?", "Why?"),
        ("", ""),
        ("a.dcm: cut ", "a.dcm: cut."),
        ("head/1: cut", "head/1: cut."),
    ],
)
def test_sentence(given: str, expected: str) -> None:
    assert sentence(given) == expected


@pytest.mark.parametrize(("number", "text"), [(0, "0 slices"), (1, "1 slice"), (32, "32 slices")])
def test_count(number: int, text: str) -> None:
    assert count(number, "slice") == text
