"""Models: what each one is, what it was measured to do, and which thresholds are in force."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboard import cached
from dashboard import models_tables as tables
from dashboard.monitoring.settings import reason
from dashboard.text import NOT_FOR_DIAGNOSIS, plain
from ichscope.access import Right, current_actor
from ichscope.models.card import CARD_FILE, ModelCard, ModelError
from ichscope.models.registry import default_models_folder
from ichscope.reporting.figures.cohort_tables import in_percent, share
from ichscope.reporting.figures.formatting import label_name
from ichscope.store import Adjustment, Store, StoreError, in_force

KEY = "models"
README = "README.md"
_LOWEST = 0.0001


def page() -> None:
    st.title("Models")
    st.write(f"What each model is, and which thresholds are in force. **{NOT_FOR_DIAGNOSIS}.**")
    cards = _cards()
    if not cards:
        st.info(f"**No model is installed.** Models are folders with a {CARD_FILE} below {plain(_folder())}.")
        return
    try:
        _show(cached.store(), cards)
    except StoreError as error:
        st.error(f"**Thresholds cannot be read or set.** {plain(str(error))}")
        st.button("Try again")


def _show(store: Store, cards: dict[str, ModelCard]) -> None:
    providers, history = _providers(), store.adjustments.history("threshold")
    tabs = st.tabs([card.name for card in cards.values()], key=f"{KEY}-tabs", on_change="rerun")
    for tab, (folder, card) in zip(tabs, cards.items(), strict=True):
        if tab.open:
            with tab:
                own = [change for change in history if change.model == card.name]
                _model(store, folder, card, providers.get(folder, ""), own)


def _folder() -> str:
    return str(default_models_folder().resolve())


def _cards() -> dict[str, ModelCard]:
    """Cards by the name of their folder, the model with the most labels first; errors name a bad one."""
    cards = {}
    for path in sorted(default_models_folder().glob(f"*/{CARD_FILE}")):
        try:
            cards[path.parent.name] = ModelCard.read(path.parent)
        except ModelError as error:
            st.error(plain(str(error)))
    return dict(sorted(cards.items(), key=lambda item: -len(item[1].labels)))


def _providers() -> dict[str, str]:
    """What each model runs on."""
    try:
        return {name: detector.provider for name, detector in cached.detectors().items()}
    except ModelError as error:
        st.error(f"**No model can be used, so nothing can be analysed.** {plain(str(error))}")
        return {}


def _model(store: Store, folder: str, card: ModelCard, provider: str, history: list[Adjustment]) -> None:
    own = {label: change for (_, version, label), change in in_force(history).items() if version == card.version}
    st.markdown(f"**{plain(card.name)} {plain(card.version)}.** {plain(card.description)}")
    if card.decides:
        st.write("It decides whether a study is flagged; other models are second opinions.")
    left, right = st.columns(2, gap="medium")
    with left:
        st.header("Thresholds in force")
        st.html(tables.in_force(card, own))
        if current_actor().may(Right.THRESHOLDS):
            _set(store, folder, card, own)
        st.caption(
            "A new threshold applies to new results only, on every page and in `ichscope batch` and `watch`. Each "
            "result keeps the operating point it was judged by; stored results do not change. `ichscope analyse` uses "
            "no store and follows the card. A new model version starts with its own card."
        )
        if history:
            st.html(tables.history(history))
    with right:
        st.header("Operating points of the card")
        st.html(tables.points(card))
        st.header("Files")
        st.html(tables.facts(card, provider))
    readme = default_models_folder() / folder / README
    if readme.is_file():
        with st.expander("Model card"):
            st.markdown(tables.safe(readme.read_text(encoding="utf-8", errors="replace")))


def _set(store: Store, folder: str, card: ModelCard, own: dict[str, Adjustment]) -> None:
    """Place the form; what it does is said before it is done."""
    key = f"{KEY}-{folder}"
    with st.popover("Set a threshold", icon=":material/tune:", key=f"{key}-set"):
        label = st.selectbox("Label", card.labels, format_func=label_name, key=f"{key}-label")
        now = tables.threshold(card, own, label)
        value = st.number_input(
            "Threshold",
            min_value=_LOWEST,
            max_value=1 - _LOWEST,
            value=min(max(now, _LOWEST), 1 - _LOWEST),
            step=0.01,
            format="%.4f",
            key=f"{key}-value-{label}-{now}",
        )
        st.caption(_workload(store, card, label, value, now))
        why = reason(key)
        with st.container(horizontal=True):
            for title, new, off in (
                ("Set for new results", value, abs(value - now) < _LOWEST / 2),
                ("Back to the card", None, label not in own),
            ):
                st.button(
                    title,
                    key=f"{key}-{title}",
                    disabled=off or not why,
                    on_click=_save,
                    args=(store, card, label, new, why, key),
                )
        if told := st.session_state.pop(f"{key}-told", None):
            st.markdown(plain(told))


def _workload(store: Store, card: ModelCard, label: str, value: float, now: float) -> str:
    """How many of the results so far a threshold would call positive."""
    scores = cached.scores(str(store.volumes), card.name, card.version, label, store.cohorts.state(), store)
    if not len(scores):
        return "No results of this version are stored yet, so the effect cannot be estimated."
    shares = [share(len(scores) - int(np.searchsorted(scores, at)), len(scores)) for at in (value, now)]
    return (
        f"Of {len(scores):,} stored results of this version, {in_percent(shares[0])} reach {value:.4f} and "
        f"{in_percent(shares[1])} reach {now:.4f}, which is in force. See Performance for the effect on sensitivity "
        "and specificity."
    )


def _save(store: Store, card: ModelCard, label: str, value: float | None, why: str, key: str) -> None:
    try:
        store.adjustments.set_threshold(card.name, card.version, label, value, why=why)
    except StoreError as error:
        st.session_state[f"{key}-told"] = f"Not saved. {error}"
        return
    st.session_state[f"{key}-why"] = ""
    st.session_state[f"{key}-told"] = "Saved. It applies to new results."


page()
