from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ichscope.models.scheduler import EncoderScheduler

LONG_S = 20.0


class Scene:
    """Threads that want a turn, begun one after the other while the first turn is held."""

    def __init__(self) -> None:
        self.turns, self.order = EncoderScheduler(), []

    def want(self, name: str, background: bool = False) -> threading.Thread:
        def work() -> None:
            with self.turns.turn(background):
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
        threads = [scene.want("batch 1", True), scene.want("one"), scene.want("batch 2", True), scene.want("two")]
    end(threads)
    assert scene.order == ["one", "two", "batch 1", "batch 2"]


def test_the_background_waits_between_the_turns_of_a_person() -> None:
    scene = Scene()
    with scene.turns.waiting():
        with scene.turns.turn():
            batch = scene.want("batch", True)
        batch.join(0.1)
        assert scene.order == []
        with scene.turns.turn():
            scene.order.append("second")
    end([batch])
    assert scene.order == ["second", "batch"]


def test_one_at_a_time() -> None:
    turns, inside, most = EncoderScheduler(), [], []

    def work(i: int) -> None:
        with turns.turn(background=bool(i % 2)):
            inside.append(i)
            most.append(len(inside))
            inside.remove(i)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert len(most) == 200
    assert set(most) == {1}


def test_an_error_gives_the_turn_to_the_next() -> None:
    turns = EncoderScheduler()
    with pytest.raises(ValueError, match="inside"), turns.waiting(), turns.turn():
        raise ValueError("inside")
    with turns.turn(background=True):
        pass


def test_who_gives_up_waiting_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = EncoderScheduler()

    def interrupted(condition: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(turns._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), turns.turn():
            pass
    with turns.turn(background=True):
        pass
