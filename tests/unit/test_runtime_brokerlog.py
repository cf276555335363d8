"""The log of the service tells of trouble with the broker once, and of its end."""

import logging

import pytest

from tocsin.runtime.brokerlog import BrokerLog

DOWN = "broker mqtt://127.0.0.1:1883: connection refused"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tocsin.runtime.brokerlog")
    return caplog


def lines(said: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in said.records]


def test_trouble_that_lasts_is_told_once_with_what_waits_and_so_is_its_end(said: pytest.LogCaptureFixture) -> None:
    broker = BrokerLog()
    for waiting in (0, 12, 30, 31):
        broker.look([DOWN], waiting)
    broker.look([], 1)
    broker.look([], 0)
    assert lines(said) == [
        ("WARNING", f"{DOWN}; 12 messages are kept and will be sent"),
        ("INFO", "the broker takes everything again, 1 message is on the way"),
    ]


def test_a_moment_without_connection_is_no_news(said: pytest.LogCaptureFixture) -> None:
    broker = BrokerLog()
    broker.look([DOWN], 0)
    broker.look([], 0)
    broker.look([DOWN], 0)
    assert lines(said) == []


def test_what_comes_and_goes_is_told_anew_only_after_nothing_was_wrong(said: pytest.LogCaptureFixture) -> None:
    broker = BrokerLog()
    for trouble in ([DOWN], [DOWN], ["x"], ["x"], [DOWN], [DOWN], [], [DOWN], [DOWN]):
        broker.look(trouble, 0)
    assert [text for level, text in lines(said) if level == "WARNING"] == [DOWN, "x", DOWN]


def test_a_broker_that_refuses_every_topic_fills_no_log(said: pytest.LogCaptureFixture) -> None:
    broker = BrokerLog()
    refused = [f"the broker refused {topic}" for topic in range(100)]
    for _ in range(5):
        broker.look(refused, 7)
    assert len(lines(said)) == 4
    assert "97 more" in lines(said)[-1][1]
