"""Topics: what may stand in a level, and that every function gives a topic of the contract."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.wire import topics

NAMES = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)


@given(site=NAMES, watchdog=NAMES)
def test_a_root_has_the_version_and_two_names(site: str, watchdog: str) -> None:
    assert topics.root(site, watchdog) == f"tocsin/v1/{site}/{watchdog}/"


@given(text=st.text(max_size=80))
def test_a_name_is_returned_as_it_is_or_refused(text: str) -> None:
    if re.fullmatch(r"[a-z0-9_-]{1,64}", text):
        assert topics.name(text) == text
    else:
        with pytest.raises(ValueError, match="is not a name"):
            topics.name(text)


@pytest.mark.parametrize("bad", ["", "a/b", "+", "#", "$sys", "A", "ü", "a\n", "a b", "a\x00", "x" * 65])
def test_wildcards_separators_and_control_characters_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        topics.node("ethereum", bad)
    with pytest.raises(ValueError, match="is not"):
        topics.event("warning", bad)


def test_a_trailing_newline_is_not_let_through() -> None:
    with pytest.raises(ValueError, match="is not a detector id"):
        topics.event("warning", "node.lag\n")


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        (topics.STATUS, "status"),
        (topics.DESCRIPTION, "description"),
        (topics.HEARTBEAT, "heartbeat"),
        (topics.AUDIT_CHECKPOINT, "audit/checkpoint"),
        (topics.mode(), "mode"),
        (topics.mode("ethereum"), "mode/{chain}"),
        (topics.chain_head("ethereum"), "chain/{chain}/head"),
        (topics.node("ethereum", "geth"), "node/{chain}/{node}"),
        (topics.contract("ethereum", "pool"), "contract/{chain}/{name}"),
        (topics.risk("ethereum", "aave"), "risk/{chain}/{market}"),
        (topics.alert("0" * 32), "alert/{fingerprint}"),
        (topics.event("warning", "node.lag"), "event/{severity}/{detector}"),
        (topics.response("0" * 32), "response/{fingerprint}"),
        (topics.command("halt"), "cmd/{name}"),
        (topics.ack("pager"), "ack/{consumer}"),
        (topics.reply("pager", "7"), "reply/{consumer}/{request}"),
    ],
)
def test_every_function_gives_one_topic_of_the_contract(topic: str, address: str) -> None:
    known = {row.address for row in topics.CONTRACT}
    pattern = re.sub(r"\{\w+\}", "[^/+#]+", address)
    assert address in known
    assert re.fullmatch(pattern, topic)


def test_only_the_status_is_a_last_will_and_commands_are_never_retained() -> None:
    assert [row.address for row in topics.CONTRACT if row.will] == ["status"]
    assert not [row for row in topics.CONTRACT if row.inbound and row.retained]
