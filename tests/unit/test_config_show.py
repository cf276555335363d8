"""What is shown is what takes effect; the published schema, the example and the profiles are what the program knows."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.support.configs import MINIMAL, PROMOTED, loaded

from tocsin.config.load import load
from tocsin.config.profile import Profile, Profiles, shipped
from tocsin.config.registry import plain, registry_of
from tocsin.config.schema import json_schema
from tocsin.config.show import as_toml
from tocsin.config.tree import TABLES, public_keys
from tocsin.detect import REGISTRY as DETECTORS
from tocsin.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "configs" / "example.toml"
SHIPPED = registry_of(DETECTORS)
VALIDATOR = jsonschema.Draft202012Validator(json_schema(SHIPPED))

RICH = (
    MINIMAL
    + """\
headers = { "X-Key" = { env = "KEY" }, Plain = { file = "key" } }
region = "quote \\" backslash \\\\ and é"
budget = "10M/month"
[chain.detector."node.lag"]
warning = { over = 4, for = "90s" }
[[chain]]
name = "dev"
profile = "dev"
vote_by = ["client", "host"]
[[chain.node]]
name = "anvil"
url = "ipc:///tmp/anvil.ipc"
own = true
client = "anvil"
host = "here"
[detector."node.lag"]
critical = false
[detector."node.odd"]
steps = [3, 1]
[mqtt]
url = "mqtts://h:8883"
user = "u"
password = { env = "KEY" }
"""
)

SINGLE = ("alerts", "deadman", "homeassistant", "host", "journal", "mqtt", "self_test", "watchdog")
"""Tables that there is one of."""


def test_what_is_shown_loads_to_the_same_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-key")
    environ = {"KEY": "env-key"}
    first = loaded(tmp_path, RICH, environ)
    shown = as_toml(first.document)
    assert tomllib.loads(shown) == first.document
    second = loaded(tmp_path, shown, environ)
    assert second.settings == first.settings
    assert second.tree.mqtt == first.tree.mqtt
    assert [chain.nodes for chain in second.tree.chains] == [chain.nodes for chain in first.tree.chains]


def test_params_that_differ_on_a_chain_are_shown_there(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-key")
    document = loaded(tmp_path, RICH, {"KEY": "env-key"}).document
    common = {"warning": {"over": 3, "polls": 2}, "critical": False, "clear": {"under": 2, "polls": 3}}
    assert document["detector"]["node.lag"] == common
    own = {"node.lag": common | {"warning": {"over": 4, "polls": 1, "for": "90s"}}}
    shown = [dict(chain.get("detector", {})) for chain in document["chain"]]
    assert [shown[0].pop(name)["trust"] for name in PROMOTED] == ["enforce"] * len(PROMOTED)
    assert shown == [own, {}]


def _prepared_example(folder: Path) -> dict[str, str]:
    """Lay out what the example refers to; return the environment it needs."""
    for name in (
        "tls/ca.pem",
        "tls/client.pem",
        "tls/client.key",
        "secrets/alchemy",
        "secrets/beacon",
        "credentials/mqtt",
        "credentials/pager",
    ):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("-----BEGIN X-----" if name.startswith("tls") else "a-secret-value-as-long-as-a-key")
        file.chmod(0o600)
    (folder / "example.toml").write_bytes(EXAMPLE.read_bytes())
    return {
        "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
        "EXCHANGE_URL": "https://api.exchange.example/ticker?pair=ETHUSD",
        "ALCHEMY_URL": "https://eth.alchemy.example/v2/key",
        "DEADMAN_URL": "https://h/x",
        "TEAM_URL": "https://h/team",
    }


def test_the_example_loads_without_a_warning(tmp_path: Path) -> None:
    environ = _prepared_example(tmp_path)
    result = load(tmp_path / "example.toml", registry=SHIPPED, environ=environ)
    assert result.warnings == ()


def test_the_example_has_every_key_and_a_comment_on_each_line() -> None:
    example = tomllib.loads(EXAMPLE.read_text())
    chain = example["chain"][0]
    shown: dict[tuple[str, ...], Any] = {("chain",): chain, ("provider",): example["provider"][0], (): example}
    kinds = ("consumer", "silence", "maintenance", "notify", "price_gateway", "market", "account")
    shown |= {(kind,): set(example[kind][0]) for kind in kinds}
    shown["market",] |= {"id", "tokens"} & set(re.findall(r"^# (\w+) = ", EXAMPLE.read_text(), re.MULTILINE))
    for kind in ("node", "beacon", "contract", "index", "feed"):
        shown["chain", kind] = {key for node in chain[kind] for key in node}
    shown["chain", "reader"], shown["chain", "index", "amount"] = chain["reader"], chain["index"][0]["amount"]
    shown["chain", "index", "event"] = {key for event in chain["index"][0]["event"] for key in event}
    for path, table in TABLES.items():
        assert set(public_keys(table)) == set(shown.get(path) or example[path[0]]), path
    keys = [line for line in EXAMPLE.read_text().splitlines() if "=" in line and not line.lstrip().startswith("#")]
    repeated = {"name", "url", "provider", "warning", "clear", "age", "genesis_hash"}
    assert [line for line in keys if "#" not in line and line.split()[0] not in repeated] == []


FEEDS = '[[chain.feed]]\nname = "f"\naddress = "0x00000000000000000000000000000000000000fe"\nheartbeat = "1h"\n'


def test_the_defaults_that_the_example_names_are_the_defaults(tmp_path: Path) -> None:
    named = {}
    table = ""
    for line in EXAMPLE.read_text().splitlines():
        table = line.strip() if line.strip().startswith("[") else table
        if "# default" in line and "# default:" not in line:
            key, value = line.partition("#")[0].split("=", 1)
            named[table.partition("#")[0].strip(), key.strip()] = tomllib.loads(f"x = {value}")["x"]
    more = '[deadman]\nurl = "https://d"\n'
    more += (
        '[homeassistant]\n[mqtt]\nurl = "mqtt://h"\n[host]\n[[consumer]]\nname = "c"\nkey = "sixteen bytes or more"\n'
    )
    more += '[[silence]]\nmatch = "node=a"\nauthor = "a"\nreason = "b"\nuntil = "2026-11-22T18:00:00Z"\n'
    more += '[[maintenance]]\nname = "w"\nmatch = "node=a"\nauthor = "a"\nreason = "b"\ndays = ["mon"]\n'
    more += 'from = "01:00"\nto = "02:00"\n'
    more += '[[price_gateway]]\nname = "g"\nurl = "https://h"\nprices = "a/b"\nprice = "p"\n'
    more += FEEDS
    more += f'[[market]]\nname = "m"\nkind = "aave-v3"\nchain = "ethereum"\npool = "0x{"1" * 40}"\nfrom = 1\n'
    more += '[[notify]]\nname = "n"\nkind = "webhook"\nurl = "https://h/p"\nkey = "sixteen bytes or more"\n'
    document = loaded(tmp_path, MINIMAL + more).document
    where = {f"[{name}]": document[name] for name in SINGLE if name in document}
    where |= {f"[[{kind}]]": document[kind][0] for kind in ("consumer", "silence", "maintenance", "notify")}
    where["[[market]]"] = document["market"][0]
    where["[[price_gateway]]"] = document["price_gateway"][0]
    where["[[chain]]"] = document["chain"][0]
    where["[[chain.feed]]"] = document["chain"][0]["feed"][0]
    assert len(named) > 8
    assert named == {(table, key): where[table][key] for table, key in named}


def test_the_published_schema_is_the_programs_own() -> None:
    published = json.loads((ROOT / "docs" / "reference" / "config.schema.json").read_text())
    assert published == json_schema(SHIPPED), "run: tocsin config schema > docs/reference/config.schema.json"


def test_the_schema_is_valid_and_takes_the_example() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    VALIDATOR.validate(tomllib.loads(EXAMPLE.read_text()))
    VALIDATOR.validate(tomllib.loads(MINIMAL))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 2"),
        ("own = true", "onw = true"),
        ("own = true", "own = 1"),
        ("own = true", 'timeout = "2 s"'),
        ("own = true", "headers = { X = { enw = 'A' } }"),
        ('"ams"', '"AMS"'),
        ("[watchdog]", "[limit]\n[watchdog]"),
        ("[watchdog]", '[detector."node.lagg"]\n[watchdog]'),
        ("[watchdog]", "[detector.'node.lag']\nwarning = true\n[watchdog]"),
        ("[watchdog]", "[detector.'node.lag']\nclear = false\n[watchdog]"),
        ("[watchdog]", "[detector.'node.syncing']\nage = 5\n[watchdog]"),
        ("[[chain.node]]", "[chain.detector.'self.config']\n[[chain.node]]"),
    ],
)
def test_an_editor_with_the_schema_sees_the_usual_mistakes(old: str, new: str) -> None:
    assert not VALIDATOR.is_valid(tomllib.loads(MINIMAL.replace(old, new, 1)))


def test_the_schema_takes_false_for_a_limit() -> None:
    VALIDATOR.validate(tomllib.loads(MINIMAL + "[detector.'node.lag']\ncritical = false\n"))


def test_every_public_key_is_described_in_the_reference_and_the_schema() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    for path, table in TABLES.items():
        section = page.split(f"\n## `{_header(path)}`\n")[1].split("\n## ")[0] if path else page
        for key in public_keys(table):
            assert f"`{key}`" in section, (path, key)
        assert [name for name, field in table.model_fields.items() if not field.description] == []


def test_the_reference_has_the_defaults_of_every_detector() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    rows = []
    for name, params in sorted(SHIPPED.items()):
        first = f"`{name}`"
        for line in as_toml(plain(params())).splitlines():
            key, value = line.split(" = ", 1)
            rows.append(f"| {first} | `{key}` | `{value}` |")
            first = ""
    assert "\n".join(rows) in page, "the table under Detectors should read:\n" + "\n".join(rows)


def _header(path: tuple[str, ...]) -> str:
    return f"[{'.'.join(path)}]" if path[0] in SINGLE or path[-1] in ("reader", "amount") else f"[[{'.'.join(path)}]]"


@pytest.mark.parametrize("name", shipped().names())
def test_each_profile_loads_and_says_where_its_facts_are_from(tmp_path: Path, name: str) -> None:
    file = shipped().folder / f"{name}.toml"
    Profile.model_validate(tomllib.loads(file.read_text()))
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("["):  # a table's values have the comment above its header
            assert lines[number - 1].startswith("#"), f"{name}: {line} has no source"
            break
        if line and not line.startswith(("#", "schema", "genesis_hash")):
            assert lines[number - 1].startswith("#"), f"{name}: {line} has no source"
    text = MINIMAL.replace('profile = "ethereum"', f'profile = "{name}"')
    written = tmp_path / "tocsin.toml"
    written.write_text(text)
    chain = load(written, registry=SHIPPED, environ={}).settings.chains[0]
    assert chain.id == tomllib.loads(file.read_text())["id"]


def test_profiles_ship_under_the_names_that_the_docs_give() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `profile` |"))
    chains = ["arbitrum", "avalanche", "base", "bnb", "ethereum", "gnosis", "hoodi", "optimism", "polygon", "sepolia"]
    assert shipped().names() == sorted([*chains, "dev"])
    assert [name for name in shipped().names() if f"`{name}`" not in row] == []


def test_a_broken_profile_is_told_by_its_own_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('schema = 1\nid = 7\nblok_time = "1s"\nblock_time = "1"\n')
    text = MINIMAL.replace('profile = "ethereum"', 'profile = "mine"')
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, profiles=Profiles(tmp_path))
    assert [line.removeprefix(f"{tmp_path}/").partition("; ")[0] for line in caught.value.problems] == [
        "mine.toml:3: blok_time: unknown key",
        "mine.toml:4: block_time: is not a duration",
    ]


def test_a_profile_with_an_unknown_detector_is_told_at_the_chain_that_uses_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("schema = 1\nid = 7\nblock_time = '1s'\n[detector.'node.lagg']\n")
    text = MINIMAL.replace('profile = "ethereum"', 'profile = "mine"')
    with pytest.raises(ConfigError, match=r'tocsin\.toml:7: chain\.0\.profile\."node\.lagg": unknown detector'):
        loaded(tmp_path, text, profiles=Profiles(tmp_path))
