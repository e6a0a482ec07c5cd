from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ichscope.models.scheduler import EncoderScheduler, Priority

LONG_S = 20.0


class Scene:
    """Threads that want a turn, begun one after the other while the first turn is held."""

    def __init__(self) -> None:
        self.turns, self.order = EncoderScheduler(), []

    def want(self, name: str, priority: Priority = "interactive") -> threading.Thread:
        def work() -> None:
            with self.turns.turn(priority):
                self.order.append(name)

        before = len(self.turns._queue)
        thread = threading.Thread(target=work)
        thread.start()
        while len(self.turns._queue) == before:
            assert thread.is_alive()
        return thread


def end(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()


def test_people_come_before_the_background_and_each_in_the_order_of_asking() -> None:
    scene = Scene()
    with scene.turns.turn():
        threads = [
            scene.want("batch 1", "background"),
            scene.want("one"),
            scene.want("batch 2", "background"),
            scene.want("two"),
        ]
    end(threads)
    assert scene.order == ["one", "two", "batch 1", "batch 2"]


def test_the_background_waits_between_the_turns_of_a_person() -> None:
    scene = Scene()
    with scene.turns.study():
        with scene.turns.turn():
            batch = scene.want("batch", "background")
        batch.join(0.1)
        assert scene.order == []
        with scene.turns.turn():
            scene.order.append("second")
    end([batch])
    assert scene.order == ["second", "batch"]


def test_one_at_a_time() -> None:
    turns, inside, most = EncoderScheduler(), [], []

    def work(i: int) -> None:
        with turns.turn(("interactive", "background")[i % 2]):
            inside.append(i)
            most.append(len(inside))
            inside.remove(i)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert len(most) == 200
    assert set(most) == {1}


def test_an_error_gives_the_turn_to_the_next() -> None:
    turns = EncoderScheduler()
    with pytest.raises(ValueError, match="inside"), turns.study(), turns.turn():
        raise ValueError("inside")
    with turns.turn("background"):
        pass


def test_who_gives_up_waiting_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = EncoderScheduler()

    def interrupted(condition: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(turns._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), turns.turn():
            pass
    with turns.turn("background"):
        pass


def test_the_background_encodes_one_study_at_a_time_and_keeps_no_person_waiting() -> None:
    turns = EncoderScheduler()
    began = threading.Event()

    def work() -> None:
        with turns.study("background"):
            began.set()

    thread = threading.Thread(target=work)
    with turns.study("background"):
        thread.start()
        assert not began.wait(0.1)
        with turns.study(), turns.turn():
            pass
    end([thread])
    assert began.is_set()
