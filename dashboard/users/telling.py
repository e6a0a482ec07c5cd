"""The Users page: who is told of likely bleeds that nobody opens, what was told lately, and a test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import streamlit as st

from dashboard import times
from dashboard.text import count, plain, words
from ichscope.access.events import Event
from ichscope.escalation.rules import TABLE, Rules, read_rules
from ichscope.escalation.told import lately, posts
from ichscope.settings_file import SETTING, SettingsError, read_settings
from ichscope.store import Store, StoreError
from ichscope.store.outgoing import Post

_DAYS = 7


def show(store: Store) -> None:
    """Place the rules in force, and what came of them.

    Raises
    ------
    StoreError
        if the store cannot be read
    """
    st.header("Who is told of likely bleeds")
    try:
        if not read_settings(TABLE):
            st.write(
                "Nobody is told of likely haemorrhages that no reader opens. The file of settings "
                f"({SETTING}) names who is; docs/escalation.md says how."
            )
            return
        rules = read_rules()
    except SettingsError as error:
        st.error(f"**Nobody can be told.** {plain(str(error))}")
        return
    st.write(
        f"A likely bleed that no reader has opened **{rules.after_minutes:g} minutes** after its first result is "
        f"told once; of studies older than {rules.within_hours:g} hours nobody is told. `ichscope escalate` does it."
    )
    st.html(words(("Way", "Where to"), ways(rules)))
    _test(store, rules)
    _became(posts(store))
    _lately(lately(store, timedelta(days=_DAYS)))


def ways(rules: Rules) -> list[tuple[str, str]]:
    """Each way that the rules name, without what is secret: of an address, the host alone."""
    found = [("message", f"the address in the variable {name}") for name in rules.messages_from]
    found += [("webhook", f"{_host(rules.webhook)}, signed")] if rules.webhook else []
    return found + ([("HL7 v2", _host(rules.hl7))] if rules.hl7 else [])


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _test(store: Store, rules: Rules) -> None:
    if not st.button("Send a test message", key="telling-test", help="To everybody above; it says that it is a test."):
        return
    from ichscope.escalation.channels import channels  # here, since it takes a second to load
    from ichscope.escalation.telling import Escalation

    try:
        with st.spinner("Sending"):
            problems = Escalation(store, rules, channels(rules)).test()
    except (SettingsError, StoreError) as error:
        problems = [str(error)]
    if problems:
        st.error(f"**The test failed.** {plain('; '.join(problems))}")
    else:
        st.success("The test was taken by all of them. Whether it is read only a person can tell.")


def _became(found: list[Post]) -> None:
    for post in found:
        if post.waiting and post.since:
            why = f": {plain(post.reason)}" if post.reason else ""
            since = times.when(post.since)
            st.warning(f"{plain(post.archive)}: {count(post.waiting, 'message')} not taken since {since}{why}")


def _lately(lines: Sequence[Event]) -> None:
    if not lines:
        st.caption(f"Nothing was told in the last {_DAYS} days.")
        return
    st.caption(f"The latest of the last {_DAYS} days:")
    st.html(words(("When", "What", "Study", "To", "Taken"), map(_row, lines)))


def _row(line: Event) -> tuple[str, ...]:
    taken = "no" if line.details.get("taken") is False else "yes"
    return times.when(line.at), line.action, line.key[:8], str(line.details.get("to", "")), taken
