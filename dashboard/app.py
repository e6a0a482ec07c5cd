"""The router: `streamlit run dashboard/app.py`. Pages live in views/."""

from pathlib import Path

import streamlit as st

_HERE = Path(__file__).resolve().parent

st.set_page_config(page_title="ICHScope", layout="wide")
st.logo(str(_HERE / "logo.svg"), size="large")
st.html(_HERE / "page.css")

_PAGES = (
    st.Page(_HERE / "views/study_check.py", title="Study check", default=True),
    st.Page(_HERE / "views/worklist.py", title="Worklist"),
    st.Page(_HERE / "views/cohort.py", title="Cohort"),
    st.Page(_HERE / "views/performance.py", title="Performance"),
    st.Page(_HERE / "views/monitoring.py", title="Monitoring"),
    st.Page(_HERE / "views/models.py", title="Models"),
)
page = st.navigation(list(_PAGES), position="top")
page.run()
# Last, because it imports much: a server's first page has painted its heading by now.
from dashboard import ingest  # noqa: E402

ingest.take_up()
