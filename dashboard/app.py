"""The server: `streamlit run dashboard/app.py`. The pages come from router.py; the gate stands before everything."""

from pathlib import Path

import streamlit as st

from dashboard.gate import server

server.check()
app = st.App(
    Path(__file__).resolve().with_name("router.py"),
    routes=server.routes(),
    middleware=server.middleware(),
    lifespan=server.lifespan,
)
