"""Channels in the configuration: what each kind needs, what the core is given, and that nothing secret is shown."""

from pathlib import Path

import pytest
from tests.support.configs import MINIMAL, loaded

from tocsin.clock import NS
from tocsin.config.people import ChannelUrl
from tocsin.errors import ConfigError
from tocsin.model.alert import Severity
from tocsin.model.settings import ChannelSettings, PerSeverity

KEY = "canary-key-0123456789"
HOOK = f'[[notify]]\nname = "team"\nkind = "webhook"\nurl = "https://h.example/canary-path"\nkey = "{KEY}"\n'


def test_a_channel_says_only_what_is_particular(tmp_path: Path) -> None:
    [channel] = loaded(tmp_path, MINIMAL + HOOK).settings.channels
    assert channel == ChannelSettings(name="team")


def test_one_time_holds_for_all_severities(tmp_path: Path) -> None:
    more = (
        'severity = "info"\ngroup_wait = "10s"\ngroup_interval = "0s"\nrepeat = "1h"\ngroup_by = []\nmatch = "node=a"\n'
    )
    [channel] = loaded(tmp_path, MINIMAL + HOOK + more).settings.channels
    assert channel.wait == PerSeverity(critical=10 * NS, warning=10 * NS, info=10 * NS)
    assert (channel.interval, channel.group_by) == (PerSeverity(), ())
    assert (channel.floor, channel.match, channel.repeat.info) == (Severity.INFO, "node=a", 3600 * NS)


def test_pagerduty_knows_its_address_and_takes_each_alert_by_itself(tmp_path: Path) -> None:
    table = f'[[notify]]\nname = "p"\nkind = "pagerduty"\nkey = "{KEY}"\n'
    found = loaded(tmp_path, MINIMAL + table)
    assert not found.settings.channels[0].gathers
    assert str(found.tree.channels[0].address) == "https://events.pagerduty.com"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (HOOK.replace(f'key = "{KEY}"\n', ""), "a webhook needs a key, which signs its messages"),
        (HOOK.replace("webhook", "pagerduty") + 'group_wait = "1s"\n', "pagerduty takes each alert by itself"),
        ('[[notify]]\nname = "p"\nkind = "pagerduty"\nkey = "short"\n', "of PagerDuty it is its integration key"),
        (HOOK.replace('url = "https://h.example/canary-path"\n', ""), "a channel of kind webhook needs a url"),
        (HOOK.replace("https://h.example/", "slack://h.example/"), "other schemes are for kind apprise"),
        (HOOK.replace("webhook", "apprise"), "apprise takes neither key nor ca"),
        (HOOK + 'ca = "/nowhere"\n', "notify.0.ca: cannot be read"),
        (HOOK.replace("https", "http") + 'ca = "/nowhere"\n', "ca does nothing without https"),
        (HOOK + 'only = "fallback"\n', "there is no broker to fall back from; write [mqtt]"),
        (HOOK + HOOK, "the same name is given"),
        (HOOK + 'match = "node"\n', "write key=pattern"),
        (HOOK + "per_minute = 0\n", "per_minute"),
        (HOOK.replace(KEY, "short"), "fewer than 16 bytes"),
        (HOOK.replace("https://h.example", "nothing"), "is not a URL"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_in_words(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, MINIMAL + table)
    text = "\n".join(refused.value.problems)
    assert said in text
    assert "canary" not in text


def test_a_url_of_a_chat_shows_its_scheme_alone() -> None:
    url = ChannelUrl.checked("tgram://canary-token/canary-chat")
    assert (str(url), url.shown()) == ("tgram://***", "tgram://***")
    assert "canary" not in repr(url)
    with pytest.raises(ValueError, match="is not a URL"):
        ChannelUrl.checked("just words")


def test_without_the_library_apprise_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.config.people.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'tocsin\[notify\]'"):
        loaded(tmp_path, MINIMAL + '[[notify]]\nname = "a"\nkind = "apprise"\nurl = "slack://canary/x"\n')


def test_a_match_that_means_no_detector_is_warned_of(tmp_path: Path) -> None:
    found = loaded(tmp_path, MINIMAL + HOOK + 'match = "detector=nothing.*"\n')
    assert any("notify.0.match" in line for line in found.warnings)
