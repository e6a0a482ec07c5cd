"""Every cache of the pages. Caches are shared by all users, so no patient's data enters one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.background import Background
from ichscope import phantom
from ichscope.analyse import default_models_folder, load_detectors
from ichscope.card import CARD_FILE, file_sha256
from ichscope.inference import Detector
from ichscope.store import Choices, Cohort, Filter, Store

Upload = tuple[str, bytes]


def detectors() -> dict[str, Detector]:
    """One session a model for the whole process; a changed card loads anew.

    Raises
    ------
    ichscope.card.ModelError
        if a model is not what its card says
    """
    folder = default_models_folder()
    cards = sorted(folder.glob(f"*/{CARD_FILE}"))
    return _detectors(str(folder), tuple(file_sha256(card) for card in cards))


@st.cache_resource(max_entries=1, show_spinner="Loading the models")
def _detectors(folder: str, cards: tuple[str, ...]) -> dict[str, Detector]:
    return load_detectors(Path(folder))


@st.cache_data(max_entries=3, show_spinner="Making a synthetic study")
def sample(bleed: str | None) -> list[Upload]:
    """A synthetic study as DICOM files, by the kind of its bleed."""
    made = phantom.make(bleed, seed=1)
    folder = f"synthetic-{bleed or 'normal'}"
    return [(f"{folder}/IM{i:04d}.dcm", phantom.to_bytes(one)) for i, one in enumerate(phantom.datasets(made), 1)]


@st.cache_resource(max_entries=1, show_spinner="Opening the store")
def store() -> Store:
    """One store for the whole process; it is for threads.

    Raises
    ------
    ichscope.store.StoreError
        if its database cannot be opened
    """
    return Store.open()


def choices(store: Store) -> tuple[Choices, dict[int, str]]:
    """What studies can be filtered by, and the jobs they came with in words; some seconds old at most.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    return _choices(str(store.volumes), store)


@st.cache_data(ttl=10, max_entries=4, show_spinner=False)
def _choices(place: str, _store: Store) -> tuple[Choices, dict[int, str]]:
    # Titles of jobs stay out: they may name a folder.
    words = {job.id: f"{job.kind.capitalize()} of {job.created_at:%Y-%m-%d %H:%M} UTC" for job in _store.jobs()}
    return _store.choices(), words


@st.cache_resource(max_entries=1, show_spinner="Opening the store", on_release=Background.close)
def background() -> Background:
    """The one that does the jobs of this process; errors as of `store`."""
    return Background(store())


def cohort(store: Store, filter: Filter) -> Cohort:
    """What is counted over the studies that fit, counted again only where the store has changed.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    return _cohort(str(store.volumes), filter, store.state(filter), store)


@st.cache_data(max_entries=32, show_spinner="Counting")
def _cohort(place: str, filter: Filter, state: tuple[int, ...], _store: Store) -> Cohort:
    return _store.cohort(filter)
