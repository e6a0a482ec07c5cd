"""The pages' router, which app.py serves: who may see a page has it in the menu, and for others there is none."""

from pathlib import Path

import streamlit as st

from dashboard import account, acting, places, seen, tab, warm_up
from ichscope.access import acting_as, by_default

_HERE = Path(__file__).resolve().parent

tab.belongs()
by_default(acting.current)
st.set_page_config(page_title="ICHScope", layout="wide")
st.logo(str(_HERE / "logo.svg"), size="large")
st.html(_HERE / "page.css")

_SHOW_STUDIES = ("Study check", "Worklist")


def _to_worklist() -> None:
    """Lead from / to the Worklist. A front page has no address of its own, and links lead to the Worklist's."""
    st.switch_page(_HERE / "views/worklist.py")


who = account.whoever()
allowed = {name: title for name, (title, right) in places.PAGES.items() if who.may(right)}
pages = [
    st.Page(_HERE / f"views/{name}.py", title=title, default=name == places.FRONT) for name, title in allowed.items()
]
if places.FRONT not in allowed:
    pages.append(st.Page(_to_worklist, title="ICHScope", default=True, visibility="hidden"))
page = st.navigation(pages, position="top")
# Study check waits by itself, with its heading on the screen.
if page.title != "Study check":
    warm_up.wait()
if page.title not in _SHOW_STUDIES:
    seen.closed()
with acting_as(who):
    page.run()
