"""Stores with many studies over some months, written straight into the tables; drift can be put into the last weeks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from ichscope.store import Store, tables

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
MODELS = ("cerebroscan", "cranioscan")
_LABELS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
Change = Callable[[dict[str, NDArray[Any]], NDArray[np.bool_]], None]


def fill(
    store: Store, studies: int = 600, days: int = 84, seed: int = 0, change: Change | None = None, reviewed: float = 0.3
) -> None:
    """Write studies that arrive at random within so many days.

    change : gets the columns, and which rows arrive in the last 28 days, and may alter them before they are judged;
        a model whose score is nan has failed
    """
    rng = np.random.default_rng(seed)
    facts = _facts(rng, studies, days)
    late = facts["day"] >= days - 28
    if change:
        change(facts, late)
    columns = {name: values.tolist() for name, values in facts.items()}
    flagged = {model: facts[model] >= 0.5 for model in MODELS}
    any_flag = (flagged[MODELS[0]] | flagged[MODELS[1]]).tolist()
    looked = (rng.random(studies) < reviewed).tolist()
    rows = [_study(i, columns, any_flag[i], looked[i]) for i in range(studies)]
    results = [
        _result(i, model, columns, bool(flagged[model][i]))
        for i in range(studies)
        if columns["analysed"][i]
        for model in MODELS
        if not np.isnan(facts[model][i])
    ]
    with store.database.writing() as session:
        session.execute(insert(tables.Study), rows)
        session.execute(insert(tables.Series), [_series(row) for row in rows])
        session.execute(insert(tables.Result), results)


def _facts(rng: np.random.Generator, n: int, days: int) -> dict[str, NDArray[Any]]:
    """Columns of studies that are alike at all times; scores are calibrated."""
    hidden = rng.normal(-2.2, 2.0, n)
    scores = {model: 1 / (1 + np.exp(-hidden - rng.normal(0, 0.4, n))) for model in MODELS}
    return {
        "day": np.sort(rng.integers(0, days, n)),
        "minute": rng.integers(0, 1440, n),
        "age": rng.integers(18, 95, n),
        "sex": rng.choice(["F", "M"], n),
        "scanner": rng.choice(["Maker One", "Maker Two", "Other Three"], n, p=[0.6, 0.3, 0.1]),
        "kvp": rng.choice([100.0, 120.0], n, p=[0.1, 0.9]),
        "thickness": rng.choice([0.6, 1.25, 5.0], n),
        "slices": rng.integers(24, 48, n),
        "analysed": rng.random(n) < 0.97,
        "wait_s": rng.exponential(20.0, n) + 2,
        "true": rng.random(n) < 1 / (1 + np.exp(-hidden)),
        **scores,
    }


def _study(i: int, of: dict[str, list[Any]], flagged: bool, looked: bool) -> dict[str, Any]:
    arrived = START + timedelta(days=of["day"][i], minutes=of["minute"][i])
    analysed, truth = of["analysed"][i], of["true"][i]
    read = truth if looked and analysed else None
    agreement = "unreviewed" if read is None else "agree" if read == flagged else "disagree"
    return {
        "id": i + 1,
        "study_key": f"{i:016x}",
        "series_id": i + 1,
        "series_count": 1,
        "patient_key": f"{i + 1:016x}",
        "arrived_at": arrived,
        "analysed_at": arrived + timedelta(seconds=of["wait_s"][i]),
        "status": "analysed" if analysed else "not analysed",
        "synthetic": False,
        "slices": of["slices"][i],
        "age_years": of["age"][i],
        "sex": of["sex"][i],
        "manufacturer": "",
        "scanner": of["scanner"][i],
        "kvp": of["kvp"][i],
        "slice_thickness_mm": of["thickness"][i],
        "kernel": "",
        "models": "|" + "".join(f"{name}|{name} 1.0|" for name in MODELS) if analysed else "|",
        "priority": "likely" if flagged else "negative",
        "score": float(np.nanmax([of[name][i] for name in MODELS])) if analysed else None,
        "rank": 1.0,
        "model_any": flagged if analysed else None,
        **{f"model_{label}": None for label in _LABELS},
        "reviews": int(read is not None),
        "first_review_at": None if read is None else arrived + timedelta(hours=5),
        "reviewed_at": None if read is None else arrived + timedelta(hours=5),
        "agreement": agreement,
        "reader_any": read,
        **{f"reader_{label}": None for label in _LABELS},
    }


def _series(study: dict[str, Any]) -> dict[str, Any]:
    """The only series of a study."""
    names = ("id", "arrived_at", "analysed_at", "status", "slices", "age_years", "sex", "manufacturer", "scanner")
    same = {name: study[name] for name in (*names, "kvp", "slice_thickness_mm", "kernel")}
    key, number = study["study_key"], study["id"]
    own = {"study_id": number, "content": f"{number:064x}", "series_key": key, "kind": "ct", "facts": {}}
    return same | own | {"institution": ""}


def _result(i: int, model: str, of: dict[str, list[Any]], flagged: bool) -> dict[str, Any]:
    arrived = START + timedelta(days=of["day"][i], minutes=of["minute"][i])
    return {
        "series_id": i + 1,
        "model": model,
        "version": "1.0",
        "current": True,
        "encoder_sha256": "",
        "head_sha256": "",
        "provider": "CPU fp32",
        "seconds": 0.3,
        "operating_point": "Youden",
        "threshold": 0.5,
        "flagged": flagged,
        "probability_any": of[model][i],
        **{f"probability_{label}": None for label in _LABELS},
        "thresholds": {"any": 0.5},
        "slice_labels": ["any"],
        "slice_probability": np.full(of["slices"][i], 0.1, "<f4").tobytes(),
        "created_at": arrived + timedelta(seconds=of["wait_s"][i]),
    }
