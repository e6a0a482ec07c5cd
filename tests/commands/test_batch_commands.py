"""The commands on many studies, as users call them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ichscope import phantom
from ichscope.batch import demo
from ichscope.batch.work_items import Place, to_text
from ichscope.commands import running
from ichscope.commands.batch import _age
from ichscope.commands.cli import app
from ichscope.labels import LABELS, SUBTYPES
from ichscope.monitor.drift import ENOUGH
from ichscope.store import Filter, Results, Store, StoreError
from tests.support import tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder, name="cranioscan")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def call(models: Path, home: Path):
    def run(command: str, *arguments: object) -> Result:
        options = ["--models-folder", models, "--provider", "cpu"] if command != "prune" else []
        return CliRunner().invoke(app, [str(one) for one in (command, *arguments, *options)])

    return run


def study(folder: Path, seed: int = 0) -> Path:
    phantom.write(phantom.make("subdural", seed, slices=2, size=32), folder)
    return folder


def test_batch_retry_rescore_and_prune(call, home: Path, tmp_path: Path) -> None:
    study(tmp_path / "in" / "good")
    done = call("batch", tmp_path / "in")
    assert done.exit_code == 0, done.output
    assert "1 study:" in done.stdout
    (tmp_path / "in" / "bad.dcm").write_bytes(b"not a scan")
    assert call("batch", tmp_path / "in").exit_code == 3
    assert "Nothing to do" in call("retry").stdout
    assert "Nothing to do" in call("rescore").stdout
    assert call("prune", "--older-than", "1h").stdout == "0 volumes removed\n"
    assert call("prune", "--older-than", "0h").stdout == "1 volumes removed\n"
    store = Store.open(home=home)
    assert not any(row.has_volume for row in store.worklist.page())
    store.close()


def test_what_is_under_way_elsewhere_counts_as_missed(
    call, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("batch", study(tmp_path / "in")).exit_code == 0
    store = Store.open(home=home)
    (job,) = store.jobs.recent()
    with pytest.raises(typer.Exit) as ended:
        running.finish(store, replace(job, states=dict(job.states) | {"running": 2}))
    store.close()
    assert ended.value.exit_code == 3
    assert "2 studies not done yet" in capsys.readouterr().out


def test_retry_of_several_jobs_says_the_worst(call, home: Path, tmp_path: Path) -> None:
    store = Store.open(home=home)
    for number in range(2):
        job = store.jobs.start("folder", str(number))
        store.jobs.add_items(job, [to_text(Place(study(tmp_path / "in") if number else tmp_path / "nowhere"))])
        store.jobs.mark_listed(job)
    store.close()
    assert call("retry").exit_code == 3, "the last one was analysed, the first one was not"


def test_without_volumes(call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_VOLUMES", "off")
    assert call("batch", study(tmp_path / "in")).exit_code == 0
    store = Store.open(home=home)
    (row,) = store.worklist.page()
    assert not row.has_volume
    assert row.slices == 2
    assert row.sex
    store.close()
    assert not list((home / "volumes").rglob("*.nii"))


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "bad.dcm").write_bytes(b"no scan")])
def test_nothing_analysed_has_its_exit_code(call, tmp_path: Path, make) -> None:
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    assert call("batch", tmp_path / "in").exit_code == 1


def test_a_database_that_is_gone_is_said(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object, **options: object) -> None:
        raise StoreError("The database failed: the connection to it is lost.")

    monkeypatch.setattr(Results, "record", gone)
    result = call("batch", study(tmp_path / "in"))
    assert result.exit_code == 4
    assert "connection to it is lost" in result.stderr
    assert "goes on later" in result.stderr
    monkeypatch.undo()


def test_a_home_that_cannot_be_made_is_said(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "file" / "home"))
    result = call("batch", study(tmp_path / "in"))
    assert result.exit_code == 4
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["batch", "nowhere"], "nowhere"),
        (["batch", ".", "--workers", "0"], "workers"),
        (["prune", "--older-than", "soon"], "30d"),
        (["prune"], "--older-than"),
        (["batch", ".", "--model", "nonesuch"], "nonesuch"),
    ],
)
def test_wrong_use(call, home: Path, arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.output


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("30d", 720), ("2w", 336)])
def test_ages(text: str, hours: int) -> None:
    assert _age(text) == timedelta(hours=hours)


def test_demo_fills_the_store_once(call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", 48)
    monkeypatch.setattr(demo, "_SLICES", (3, 4))
    arrivals = []
    for _ in range(2):
        result = call("demo", "--studies", 8)
        assert result.exit_code == 0, result.output
        store = Store.open(home=home)
        rows = store.worklist.page()
        assert len(rows) == 8
        assert all(row.synthetic and "synthetic" in row.scanner for row in rows)
        reviews = [review for row in rows for review in store.reviews.of(row.id)]
        began = store.jobs.recent()[-1].created_at
        arrivals.append([row.arrived_at for row in rows])
        for row in rows:
            times = [review.created_at for review in store.reviews.of(row.id)]
            assert timedelta() <= row.analysed_at - row.arrived_at < timedelta(minutes=10), (
                "what it took is not made up"
            )
            assert sorted(times) == times
            assert all(row.analysed_at < time < began for time in times)
        assert timedelta(days=40) < max(arrivals[-1]) - min(arrivals[-1]) < timedelta(days=demo.DAYS)
        assert max(arrivals[-1]) < began
        store.close()
        assert {review.reader for review in reviews} <= set(demo.READERS)
        assert len(rows) * 0.4 < len(reviews) < len(rows) * 2
        assert len({(review.study, review.reader) for review in reviews}) == len(reviews)
        assert not (home / "demo").exists()
    assert arrivals[0] == arrivals[1]


def test_a_demonstration_can_be_compared_over_time() -> None:
    heads = (number for number in range(demo.STUDIES) if (number + 1) % demo._CHEST_EVERY)
    places = [demo._place(number) for number in heads]
    assert min(sum(place < 0.5 for place in places), sum(place >= 0.5 for place in places)) >= ENOUGH
    # Evenly: no gap of more than three days in eight weeks.
    ordered = sorted([0.0, *places, 1.0])
    assert max(b - a for a, b in pairwise(ordered)) * demo.DAYS < 3


def test_a_demo_that_was_killed_is_taken_up(call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_SIZE", 32)
    monkeypatch.setattr(demo, "_SLICES", (2,))

    def killed(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(demo, "work", killed)
        assert call("demo", "--studies", 2).exit_code != 0
    assert call("demo", "--studies", 2).exit_code == 0
    store = Store.open(home=home)
    assert (len(store.jobs.recent()), store.worklist.counts(Filter(synthetic=True)).total) == (1, 2)
    store.close()


def test_readers_mostly_see_the_truth() -> None:
    truth = dict.fromkeys(LABELS, False) | {"any": True, "subdural": True}
    said = [demo.read(truth, random.Random(number)) for number in range(500)]
    assert 0.85 < sum(one == truth for one in said) / 500 < 0.99
    assert all(one["any"] == any(one[label] for label in SUBTYPES) for one in said)
    assert {one["any"] for one in said} == {True, False}
