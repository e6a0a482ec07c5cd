"""Studies for the store, made without models and files."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ichscope.imaging.series import Finding, Header
from ichscope.labels import LABELS, SUBTYPES
from ichscope.results import ModelResult, SeriesResult
from ichscope.store import Store
from tests.support import results_builder as build
from tests.support.people import review

MORNING = datetime(2026, 3, 1, 7, tzinfo=UTC)


def content(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def study(name: object, *models: ModelResult | float, header: Header | None = None, **fields: Any) -> SeriesResult:
    """A study whose keys come from its name; models are ModelResults, or probabilities of cranioscan's `any`."""
    made = [model if isinstance(model, ModelResult) else build.model(along=(0.0, model)) for model in models]
    status = "analysed" if made else "not analysed"
    data = build.series(slices=2, header=header or Header())
    key = content(f"study {name}")[:16]
    named: dict[str, Any] = {"study": key, "series": key[::-1]} | fields
    return replace(build.result(*made, status=status, data=data), **named)


def add(store: Store, name: object, *models: ModelResult | float, hours: float = 0, **fields: Any) -> int:
    return store.results.record(
        study(name, *models, **fields), content(name), arrived_at=MORNING + timedelta(hours=hours)
    )


def many(store: Store, number: int, seed: int = 0) -> list[int]:
    """Studies of every kind, some of them reviewed; the same ones in every store."""
    rng = random.Random(seed)
    ids = []
    for i in range(number):
        p = {label: rng.random() for label in SUBTYPES}
        both = [
            build.model(along=(0.0, rng.random()), probability=p),
            build.model("cerebroscan", along=(0.0, rng.random()), labels=("any",)),
        ]
        header = Header(
            scanner=rng.choice(["", "Revolution", "Aquilion"]),
            manufacturer=rng.choice(["", "Maker"]),
            institution=("", "Saint Elsewhere", "County")[i % 3],
            kvp=rng.choice([None, 100.0, 120.0]),
            slice_thickness_mm=rng.choice([None, 0.6, 1.25, 5.0]),
            age_years=rng.choice([None, 3.5, 19.99, 40.0, 97.0]),
            sex=rng.choice(["", "F", "M"]),
        )
        warning = (Finding("warning", rng.choice(["kvp", "age"]), "A reason."),)
        kind = rng.choice(["analysed", "limited", "not analysed"])
        made = study(i, *(both if kind != "not analysed" else []), header=header, status=kind)
        if kind != "analysed":
            made = replace(made, findings=made.findings + warning)
        arrived = MORNING + timedelta(minutes=47 * rng.randrange(200))
        ids.append(store.results.record(made, content(i), arrived_at=arrived))
        if kind != "not analysed" and rng.random() < 0.5:
            labels = {label: rng.random() < 0.5 for label in LABELS if rng.random() < 0.7}
            at = arrived + timedelta(minutes=rng.randrange(1, 3000))
            review(
                store, ids[-1], rng.choice(["Ann", "Bob"]), agree=rng.choice([True, False, None]), labels=labels, at=at
            )
    return ids
