"""What the Performance page looks at: truth, models, level, readers, and which studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import filters
from dashboard.times import when
from ichscope.evaluation.selection import ModelSource, Selection, TruthSource
from ichscope.levels import Level
from ichscope.metrics import Rule
from ichscope.store import Store

KEY = "performance"
_READERS = {"majority": "Majority of the readers", "any": "Any reader", "newest": "Newest review"}
_RULES = {
    None: "The model's own study probability",
    "max": "Highest slice",
    "top-k": "Mean of the three highest slices",
    "noisy-or": "Chance that any slice bleeds, slices taken as independent",
}


@dataclass(frozen=True)
class Sources:
    """What there is to choose from, by key."""

    truths: Mapping[str, TruthSource]
    models: Mapping[str, ModelSource]


def choose(store: Store, sources: Sources) -> tuple[Selection, str | None]:
    """Place the choices; gives what to load, and the key of the model beside the first one.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    place = st.container(horizontal=True, vertical_alignment="bottom")
    with place:
        truth = sources.truths[_pick("truth", "Truth", {key: _truth(source) for key, source in sources.truths.items()})]
        names = {model.key: _model_name(model) for model in _likely_first(sources.models.values(), truth)}
        first = _pick("first", "Model", names)
        others = {key: name for key, name in names.items() if key != first}
        second = _pick("second", "Second model", others, optional=True) if others else None
        models = tuple(key for key in (first, second) if key)
        slices = truth.level == "slice" and all(sources.models[key].has_slices for key in models)
        level: Level = _pick("level", "Level", {"study": "Study", "slice": "Slice"}) if slices else "study"
        with st.popover("Readers", icon=":material/tune:"):
            readers = _pick("readers", "Whose truth counts", _readers(truth))
            rule = _rule([sources.models[key] for key in models]) if level == "study" else None
    # Beside a fourth choice there is no room.
    with st.container() if slices else place:
        filter = filters.choose(store, f"{KEY}-filter")
    return Selection(truth.key, models, level, readers, rule, filter), second


def _likely_first(models: Iterable[ModelSource], truth: TruthSource) -> list[ModelSource]:
    """Beside imported truth imported predictions come first, beside reviews results; then those with most labels."""

    def imported(key: str) -> bool:
        return key.startswith("import:")

    return sorted(models, key=lambda model: (imported(model.key) != imported(truth.key), -len(model.labels)))


def _pick(name: str, label: str, names: Mapping[Any, str], optional: bool = False) -> Any:
    """One of several; one that is gone is forgotten."""
    key = f"{KEY}-{name}"
    if st.session_state.get(key) not in names:
        st.session_state.pop(key, None)
    return st.selectbox(
        label,
        list(names),
        index=None if optional else 0,
        placeholder="None",
        format_func=lambda choice: names.get(choice, ""),
        key=key,
        persist_state="session",
        width=190,
    )


def _rule(models: Sequence[ModelSource]) -> Rule | None:
    """How slices become studies; imported slices bring no probability of the study along."""
    if not all(model.has_slices for model in models):
        return None
    imported = any(model.key.startswith("import:") for model in models)
    names = {rule: names for rule, names in _RULES.items() if rule or not imported}
    rule: Rule | None = _pick("rule", "From slices to the study", names)
    return rule


def _truth(source: TruthSource) -> str:
    day = f", {when(source.imported_at)[:10]}" if source.imported_at else ""
    return f"{source.name} ({source.rows:,} by {source.level}{day})"


def _model_name(source: ModelSource) -> str:
    return f"{f'{source.name} {source.version}'.strip()} ({source.studies:,})"


def _readers(truth: TruthSource) -> dict[str, str]:
    """Ways to make one truth of several annotations, and each reader alone."""
    if len(truth.readers) < 2:
        return {"majority": _listed(truth.readers) or _READERS["majority"]}
    ways = {way: name for way, name in _READERS.items() if way != "newest" or truth.key == "reviews"}
    return ways | {name: name for name in truth.readers if name not in ways}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(filter(None, names))
