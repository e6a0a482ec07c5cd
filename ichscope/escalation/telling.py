"""Look for likely bleeds that nobody has opened, and tell of each once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Event

from ichscope.access.events import Action, Kind
from ichscope.access.roles import Right
from ichscope.errors import IchscopeError, barrier
from ichscope.escalation.channels import Channel, ChannelError
from ichscope.escalation.rules import Rules
from ichscope.escalation.told import target
from ichscope.store import Store, Unopened

PAUSE_S = 15.0
_NOTE = "For research and quality work, not for diagnosis."

Say = Callable[[str], object]


class Escalation:
    """Tells somebody of likely bleeds. What is to be sent is kept in the store until it is taken.

    Parameters
    ----------
    say : called with what went wrong, in words
    """

    def __init__(self, store: Store, rules: Rules, channels: Sequence[Channel], say: Say = lambda text: None) -> None:
        self._store, self._rules, self._channels, self._say = store, rules, channels, say

    def look(self) -> int:
        """Write a message for each study that is due, once, and send what waits.

        Returns
        -------
        how many messages were taken

        Raises
        ------
        StoreError
            if the store cannot be read or written
        """
        for study in self._store.outgoing.unopened(self._rules.after, self._rules.within):
            content = json.dumps(message(study, self._rules)).encode()
            for channel in self._channels:
                self._store.outgoing.put(target(channel.name), [study.key], content)
        return sum(map(self._send, self._channels))

    def _send(self, channel: Channel) -> int:
        sent = 0
        while waiting := self._store.outgoing.due(target(channel.name)):
            content = waiting.content.decode()
            if problem := _problem(channel, f"ichscope-{waiting.id}", json.loads(content)["text"], content):
                self._store.outgoing.failed(waiting, problem)
                self._say(problem)
            else:
                key = json.loads(content)["study"]
                self._store.outgoing.sent(waiting, Action.ESCALATED, Kind.STUDY, key, to=channel.name)
                sent += 1
        return sent

    def test(self) -> list[str]:
        """Send a message that says it is a test, to everybody; each way has its line in the audit trail.

        Returns
        -------
        why it was not taken, a line each

        Raises
        ------
        RefusedError
            if whoever asks may not manage accounts, as an admin may
        StoreError
            if the audit trail cannot be written
        """
        self._store.database.demand(Right.USERS, Action.ESCALATION_TESTED)
        text = f"A test: likely haemorrhages that nobody has opened would be told of here. {_NOTE}"
        content = json.dumps({"type": "test", "text": text})
        number = f"ichscope-test-{datetime.now(UTC):%Y%m%d%H%M%S}"
        problems = []
        for channel in self._channels:
            problem = _problem(channel, number, text, content)
            self._store.trail.record(Right.USERS, Action.ESCALATION_TESTED, to=channel.name, taken=not problem)
            problems += [problem] if problem else []
        return problems

    def go_on(self, stop: Event, pause_s: float = PAUSE_S) -> None:
        """Look again and again until `stop` is set; the store may go and come back meanwhile."""
        while not stop.is_set():
            try:
                with barrier():
                    self.look()
            except IchscopeError as error:
                self._say(str(error))
            stop.wait(pause_s)


def _problem(channel: Channel, number: str, text: str, content: str) -> str:
    """Send a message; say why it was not taken, "" where it was."""
    try:
        with barrier(lambda kind: ChannelError(f"{channel.name}: not sent ({kind})")):
            channel.send(number, text, content)
    except ChannelError as error:
        return str(error)
    return ""


def message(study: Unopened, rules: Rules) -> dict[str, object]:
    """What is said of a study: nothing of the patient, only the store's own key."""
    place = f" {rules.link.rstrip('/')}/worklist?study={study.id}" if rules.link else ""
    probability = "" if study.score is None else f" (probability {study.score:.2f})"
    text = (
        f"Study {study.key[:8]}, analysed at {study.since:%H:%M} UTC, is likely to show a haemorrhage{probability}, "
        f"and by {datetime.now(UTC):%H:%M} UTC no reader had opened it.{place} {_NOTE}"
    )
    return {
        "type": "unopened",
        "study": study.key,
        "analysed_at": study.since.isoformat(),
        "probability": study.score,
        "text": text,
    }
