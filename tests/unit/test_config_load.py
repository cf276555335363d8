"""Loading: what a valid configuration becomes, and how every kind of mistake is told."""

import os
from pathlib import Path

import pytest
from tests.support.configs import CANARY, MINIMAL, REGISTRY, LagParams, SelfParams, loaded, problems

from tocsin.config.load import load
from tocsin.config.profile import Profiles
from tocsin.config.tree import Tree
from tocsin.errors import ConfigError
from tocsin.model.alert import Over, Under
from tocsin.model.block import BlockRef


def test_a_minimal_configuration_has_every_default_resolved(tmp_path: Path) -> None:
    settings = loaded(tmp_path).settings
    assert (settings.site, settings.watchdog, settings.environment) == ("ams", "host-a", "prod")
    [chain] = settings.chains
    assert (chain.id, chain.block_time_ns, chain.poll_ns, chain.tick_ns) == (1, 12 * 10**9, 2 * 10**9, 250 * 10**6)
    assert chain.vote_by == ("provider", "operator")
    assert chain.genesis_hash == "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    geth, alchemy = chain.nodes
    assert (geth.provider, geth.operator, geth.id, geth.endpoint) == (
        "self",
        "self",
        "ams.geth",
        "http://127.0.0.1:8545",
    )
    assert (alchemy.provider, alchemy.operator, alchemy.id) == ("eth.alchemy.example",) * 2 + ("ams.alchemy",)
    assert chain.detectors["node.lag"] == LagParams()
    assert settings.detectors == {"self.loop_lag": SelfParams()}
    assert "self.loop_lag" not in chain.detectors


def test_the_tree_has_what_a_connection_needs(tmp_path: Path) -> None:
    text = MINIMAL + (
        'ws = "wss://eth.alchemy.example/ws"\nheaders = { X-Key = { env = "KEY" } }\n'
        'proxy = "http://proxy.example:3128"\nbudget = "10/s"\n'
    )
    geth, alchemy = loaded(tmp_path, text, {"KEY": CANARY}).tree.chains[0].nodes
    assert geth.timeout_ns == 2 * 10**9
    assert alchemy.ws is not None
    assert alchemy.ws.reveal() == "wss://eth.alchemy.example/ws"
    assert alchemy.proxy is not None
    assert alchemy.proxy.reveal() == "http://proxy.example:3128"
    assert {name: value.reveal() for name, value in alchemy.headers.items()} == {"X-Key": CANARY}
    assert alchemy.budget == 864_000


def test_a_fast_poll_leaves_the_network_a_quarter_second(tmp_path: Path) -> None:
    tree = loaded(tmp_path, MINIMAL.replace('profile = "ethereum"', 'profile = "dev"\npoll = "50ms"')).tree
    assert tree.chains[0].nodes[0].timeout_ns == 250 * 10**6


def test_operator_follows_the_provider_that_is_given(tmp_path: Path) -> None:
    node = loaded(tmp_path, MINIMAL + 'provider = "alchemy"\n').settings.chains[0].nodes[1]
    assert (node.provider, node.operator) == ("alchemy", "alchemy")


def test_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = MINIMAL.replace('name = "host-a"', 'name = "host-a"\nstate_dir = "state"') + 'ca = "ca.pem"\n'
    tree = loaded(tmp_path, text).tree
    assert tree.watchdog.state_dir == str(tmp_path / "state")
    assert tree.chains[0].nodes[1].ca == str(tmp_path / "ca.pem")


def test_params_are_layered_default_profile_common_chain(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "mine.toml").write_text(
        'schema = 1\nid = 7\nblock_time = "1s"\n[detector."node.lag"]\n'
        "warning = { over = 9 }\ncritical = { over = 99 }\nclear = { under = 9 }\n"
    )
    text = (
        MINIMAL.replace('profile = "ethereum"', 'profile = "mine"')
        + '[chain.detector."node.lag"]\nwarning = { over = 5, for = "30s" }\n'
        + '[detector."node.lag"]\nwarning = { over = 4 }\ncritical = false\n'
    )
    got = loaded(tmp_path, text, profiles=Profiles(folder)).settings.chains[0].detectors["node.lag"]
    assert got == LagParams(warning=Over(over=5, polls=1, for_ns=30 * 10**9), critical=None, clear=Under(under=9))


def test_the_hash_follows_what_takes_effect_and_nothing_else(tmp_path: Path) -> None:
    plain = loaded(tmp_path).settings.config_hash
    assert loaded(tmp_path, "# a comment\n" + MINIMAL.replace("= ", "=  ")).settings.config_hash == plain
    assert (
        loaded(tmp_path, MINIMAL.replace("[watchdog]", '[watchdog]\nenvironment = "prod"')).settings.config_hash
        == plain
    )
    for other in (
        MINIMAL.replace("host-a", "host-b"),
        MINIMAL.replace("own = true", "own = false"),
        MINIMAL + '[detector."node.lag"]\nwarning = { over = 4 }\n',
        MINIMAL + 'budget = "1k/day"\n',
    ):
        assert loaded(tmp_path, other).settings.config_hash != plain


def test_the_hash_knows_where_a_secret_comes_from_and_not_its_value(tmp_path: Path) -> None:
    text = MINIMAL.replace('"https://eth.alchemy.example"', '{ env = "URL" }')
    hashes = [
        loaded(tmp_path, text, {"URL": f"https://eth.example/{key}"}).settings.config_hash for key in ("one", "two")
    ]
    assert hashes[0] == hashes[1]
    other = loaded(tmp_path, text.replace('"URL"', '"URL2"'), {"URL2": "https://eth.example/one"})
    assert other.settings.config_hash != hashes[0]


MISTAKES = [
    ("schema = 1", "schema = 2", "tocsin.toml:1: schema: tocsin 0.1.0 reads schema 1 only"),
    ("schema = 1\n", "", "tocsin.toml: schema: missing; write schema = 1"),
    ('site = "ams"', 'site = "AMS"', "tocsin.toml:3: watchdog.site: a name has 1 to 64 of a-z"),
    ('site = "ams"', 'site = "' + "a" * 65 + '"', "tocsin.toml:3: watchdog.site: a name has 1 to 64 of a-z"),
    ('site = "ams"', "site = 3", "tocsin.toml:3: watchdog.site: write a string"),
    ('name = "host-a"', 'name = "host-a"\nnam = "x"', "tocsin.toml:5: watchdog.nam: unknown key (did you mean name?)"),
    ('name = "host-a"', "", "tocsin.toml:2: watchdog.name: missing"),
    ('profile = "ethereum"', 'profile = "ethreum"', "tocsin.toml:7: chain.0.profile: there is no such profile (did"),
    (
        'profile = "ethereum"',
        'profile = "zzz"',
        "tocsin.toml:7: chain.0.profile: there is no such profile; known are arbitrum,",
    ),
    ('profile = "ethereum"', "id = 1", "tocsin.toml:5: chain.0.block_time: missing; write it, or name a profile"),
    ('profile = "ethereum"', 'profile = "ethereum"\nid = 5', "tocsin.toml:8: chain.0.id: the profile is of chain 1"),
    ('profile = "ethereum"', 'profile = "dev"\nid = 0', "tocsin.toml:8: chain.0.id: must be at least 1"),
    ('profile = "ethereum"', 'profile = "dev"\nid = "1"', "tocsin.toml:8: chain.0.id: write a whole number"),
    ('profile = "ethereum"', 'profile = "dev"\npoll = 2', "tocsin.toml:8: chain.0.poll: write a duration as a string"),
    ('profile = "ethereum"', 'profile = "dev"\npoll = "2 s"', "tocsin.toml:8: chain.0.poll: is not a duration"),
    (
        'profile = "ethereum"',
        'profile = "dev"\npoll = "1ms"',
        "tocsin.toml:8: chain.0.poll: must be between 50ms and 10m",
    ),
    ('profile = "ethereum"', 'profile = "dev"\ntick = "0s"', "tocsin.toml:8: chain.0.tick: is no time at all"),
    ('profile = "ethereum"', 'profile = "dev"\nvote_by = []', "tocsin.toml:8: chain.0.vote_by: must not be empty"),
    ('profile = "ethereum"', 'profile = "dev"\nvote_by = ["x"]', "tocsin.toml:8: chain.0.vote_by.0: write one of"),
    ('profile = "ethereum"', 'profile = "dev"\ngenesis_hash = "0xAB"', "chain.0.genesis_hash: is not a block hash"),
    ("own = true", 'own = "yes"', "tocsin.toml:11: chain.0.node.0.own: write true or false"),
    ("own = true", 'pol = "2s"', "tocsin.toml:11: chain.0.node.0.pol: unknown key (did you mean poll of [[chain]]?)"),
    ("own = true", 'poll_intervall = "2s"', "chain.0.node.0.poll_intervall: unknown key (did you mean poll of"),
    ("own = true", "zzz = 1", "tocsin.toml:11: chain.0.node.0.zzz: unknown key"),
    ("own = true", 'budget = "many"', "tocsin.toml:11: chain.0.node.0.budget: is not a budget"),
    ("own = true", 'id = "Ams.x"', "tocsin.toml:11: chain.0.node.0.id: an id is names"),
    ("own = true", 'region = ""', "tocsin.toml:11: chain.0.node.0.region: a tag has 1 to 64"),
    ("own = true", "headers = { Host = 'x' }", "chain.0.node.0.headers.Host: is a header that the transport sets"),
    ("own = true", "headers = { 'a b' = 'x' }", 'chain.0.node.0.headers."a b": is not the name of an HTTP header'),
    ("own = true", 'key = "x.pem"', "tocsin.toml:8: chain.0.node.0: has a key without a cert"),
    ("own = true", 'ca = "x.pem"', "tocsin.toml:8: chain.0.node.0: ca, cert and key do nothing without https or wss"),
    ('"http://127.0.0.1:8545"', '"ftp://x"', "tocsin.toml:10: chain.0.node.0.url: is not a URL of a known scheme"),
    ('"http://127.0.0.1:8545"', '"http://"', "tocsin.toml:10: chain.0.node.0.url: has no host"),
    ('"http://127.0.0.1:8545"', '"http://h:99999"', "tocsin.toml:10: chain.0.node.0.url: is not a URL"),
    ('"http://127.0.0.1:8545"', '"http://[::1"', "tocsin.toml:10: chain.0.node.0.url: is not a URL"),
    ('"http://127.0.0.1:8545"', '"http://h/a b"', "tocsin.toml:10: chain.0.node.0.url: has a space"),
    ('"http://127.0.0.1:8545"', '"ipc://x/y"', "tocsin.toml:10: chain.0.node.0.url: write the absolute path"),
    ('"http://127.0.0.1:8545"', '""', "tocsin.toml:10: chain.0.node.0.url: is empty"),
    ('"http://127.0.0.1:8545"', "5", 'tocsin.toml:10: chain.0.node.0.url: write a string, or { credential = "name" }'),
    (
        'name = "alchemy"',
        'name = "geth"',
        "tocsin.toml:13: chain.0.node.1.name: the same name is given at tocsin.toml:9",
    ),
    ("[watchdog]", "[limit]\n[watchdog]", "tocsin.toml:2: limit: tocsin 0.1.0 does not know this table yet"),
    (
        "[watchdog]",
        "[[contract]]\n[watchdog]",
        "tocsin.toml:2: contract: does not stand here: write [[chain.contract]] below its [[chain]]",
    ),
    ("[watchdog]", "[[feed]]\n[watchdog]", "feed: does not stand here: write [[chain.feed]] below its [[chain]]"),
    ("[watchdog]", "[[index]]\n[watchdog]", "index: does not stand here: write [[chain.index]] below its [[chain]]"),
    ("[watchdog]", "[[node]]\n[watchdog]", "node: does not stand here: write [[chain.node]] below its [[chain]]"),
    ("own = true", "[chain.contract]", ":11: chain.0.contract: write [[chain.contract]]: its brackets are double"),
    ("own = true", "[chain.feed]", ":11: chain.0.feed: write [[chain.feed]]: its brackets are double"),
    ("own = true", "[chain.index]", ":11: chain.0.index: write [[chain.index]]: its brackets are double"),
    (
        "own = true",
        "[[chain.event]]",
        ":11: chain.0.event: does not stand here: write [[chain.index.event]] below its [[",
    ),
    (
        "own = true",
        "[[chain.balance]]",
        "chain.0.balance: does not stand here: write [[chain.contract.balance]] below its",
    ),
    ("own = true", "[[chain.price_gateway]]", "write [[price_gateway]], which belongs to no other table"),
    (
        "own = true",
        "[price_gateway]",
        ":11: price_gateway: write [[price_gateway]]: its brackets are double, since there",
    ),
    (
        "own = true",
        "[[chain.feed]]\n[chain.feed]",
        ":12: TOML: a second feed in single brackets; write [[chain.feed]], since",
    ),
    ("[watchdog]", "[mtt]\n[watchdog]", "tocsin.toml:2: mtt: unknown key (did you mean mqtt?)"),
    ("[watchdog]", "mqtt = 5\n[watchdog]", "tocsin.toml:2: mqtt: write a table"),
    ("[watchdog]", "journal = { segment = '11m' }\n[watchdog]", "journal.segment: must be between 1s and 10m"),
    ("[watchdog]", "journal = { max_size = '2 gigs' }\n[watchdog]", "journal.max_size: is not a size"),
    ("[watchdog]", "mqtt.url = 'http://h'\n[watchdog]", "tocsin.toml:2: mqtt.url: is not a URL of a known scheme"),
    ("[watchdog]", "mqtt.url = 'mqtt://u:p@h'\n[watchdog]", "tocsin.toml:2: mqtt.url: has a user in it"),
    ("[watchdog]", "mqtt.url = 'mqtt://h/x'\n[watchdog]", "tocsin.toml:2: mqtt.url: has more than host and port"),
    ("[watchdog]", "mqtt.password = 'p4ssw0rd-x'\n[watchdog]", "tocsin.toml:2: mqtt.url: missing"),
    (
        "[watchdog]",
        "mqtt = {url='mqtt://h',password='x'}\n[watchdog]",
        "tocsin.toml:2: mqtt: has a password and no user",
    ),
    (
        "[[chain.node]]",
        '[chain.detector."node.lagg"]\n[[chain.node]]',
        'chain.0.detector."node.lagg": unknown detector (did',
    ),
    ("[[chain.node]]", "[chain.detector.'self.loop_lag']\n[[chain.node]]", "watches the watchdog itself; write it as"),
    ("[[chain]]", "[[playbook]]\n[[chain]]", "tocsin.toml:5: playbook: tocsin 0.1.0 does not know this"),
    ("schema = 1", "schema = 1\ninclude = 'x'", "tocsin.toml:2: include: write an array"),
    ("schema = 1", "schema = 1\ninclude = [5]", "tocsin.toml:2: include.0: write a string"),
    ("schema = 1", "schema = 1\ninclude = ['no.toml']", "tocsin.toml:2: include.0: there is no file 'no.toml'"),
    ("schema = 1", "schema = ", "tocsin.toml:1: TOML: Invalid value, column"),
    ("schema = 1", "schema = 1\nschema = 1", "tocsin.toml:2: TOML: Cannot overwrite a value"),
    ("schema = 1", "schema = " + "9" * 5000, "tocsin.toml: TOML: a number has too many digits"),
    ("schema = 1", "schema = " + "[" * 5000, "tocsin.toml: TOML: brackets are nested too deeply"),
    ("own = true", "own = [", "TOML: Invalid value"),
    ("own = true", "own = '''", "tocsin.toml:14: TOML: Expected \"'''\", at the end of the file"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_a_mistake_is_told_with_file_line_and_path(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MINIMAL
    lines = problems(tmp_path, MINIMAL.replace(old, new, 1))
    assert len(lines) == 1, lines
    assert said in lines[0]


def test_an_array_that_should_be_tables_is_explained(tmp_path: Path) -> None:
    text = MINIMAL.partition("[[chain]]")[0]
    assert problems(tmp_path, text) == ["tocsin.toml: chain: missing; write [[chain]]"]
    assert problems(tmp_path, text + "[chain]\nname = 'x'\n") == [
        "tocsin.toml:5: chain: write [[chain]]: its brackets are double, since there may be several"
    ]


def test_all_mistakes_of_all_kinds_come_in_one_go_and_in_order(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("host-a", "HOST")
        .replace('name = "alchemy"', 'name = "geth"')
        .replace("own = true", 'url2 = "x"')
        .replace('"https://eth.alchemy.example"', '{ env = "NOPE" }')
        + '[detector."node.lag"]\nwarning = { over = "3" }\ncritcal = false\n'
    )
    assert [line.split(": ")[0] for line in problems(tmp_path, text)] == [
        "tocsin.toml:4",
        "tocsin.toml:11",
        "tocsin.toml:13",
        "tocsin.toml:14",
        "tocsin.toml:16",
        "tocsin.toml:17",
    ]


def test_chains_with_one_name_or_one_id_are_told_apart(tmp_path: Path) -> None:
    again = MINIMAL[MINIMAL.index("[[chain]]") :]
    lines = problems(tmp_path, MINIMAL + again.replace('profile = "ethereum"', 'id = 1\nblock_time = "12s"'))
    assert lines == [
        "tocsin.toml:16: chain.1.name: the same name is given at tocsin.toml:6",
        "tocsin.toml:17: chain.1.id: the same id is given at tocsin.toml:7",
    ]


def test_drop_ins_merge_in_sorted_order(tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    again = MINIMAL[MINIMAL.index("[[chain]]") :].replace("ethereum", "sepolia")
    (folder / "20-sepolia.toml").write_text("schema = 1\n" + again)
    (folder / "10-broker.toml").write_text('[mqtt]\nurl = "mqtt://h"\n[detector."node.lag"]\ncritical = false\n')
    (folder / "30-off.toml.disabled").write_text("not TOML at all")
    text = "include = ['conf.d/*.toml']\n" + MINIMAL + '[detector."node.lag"]\nclear = { under = 1 }\n'
    result = loaded(tmp_path, text)
    assert [Path(file).name for file in result.files] == ["tocsin.toml", "10-broker.toml", "20-sepolia.toml"]
    assert [chain.name for chain in result.settings.chains] == ["ethereum", "sepolia"]
    assert result.tree.mqtt is not None
    lag = result.settings.chains[1].detectors["node.lag"]
    assert lag == LagParams(critical=None, clear=Under(under=1))


def test_drop_ins_are_read_in_the_order_of_their_names_not_of_the_folder(tmp_path: Path) -> None:
    names = [f"{number:02}.toml" for number in (7, 3, 9, 1, 8, 2, 6, 4, 5)]
    for name in names:
        (tmp_path / name).write_text("")
    result = loaded(tmp_path, "include = ['[0-9]*.toml']\n" + MINIMAL)
    assert [Path(file).name for file in result.files[1:]] == sorted(names)


def test_mistakes_in_a_drop_in_name_the_drop_in(tmp_path: Path) -> None:
    again = MINIMAL[MINIMAL.index("[[chain]]") :].replace("ethereum", "sepolia").replace("own = true", "onw = true")
    (tmp_path / "more.toml").write_text(again)
    assert problems(tmp_path, "include = ['more.toml']\n" + MINIMAL) == [
        "more.toml:7: chain.1.node.0.onw: unknown key (did you mean own?)"
    ]


def test_a_value_given_twice_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[watchdog]\nenvironment = "test"\n')
    (tmp_path / "b.toml").write_text('[watchdog]\n\nenvironment = "test"\nname = "x"\n')
    assert problems(tmp_path, "include = ['a.toml', 'b.toml']\n" + MINIMAL) == [
        "b.toml:3: watchdog.environment: is also set at a.toml:2; keep one of them",
        "b.toml:4: watchdog.name: is also set at tocsin.toml:5; keep one of them",
    ]


def test_a_table_against_an_array_of_tables_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[chain]\npoll = '2s'\n")
    assert problems(tmp_path, "include = ['a.toml']\n" + MINIMAL) == [
        "a.toml:1: chain: is a table here and an array of tables at tocsin.toml:6"
    ]


def test_a_broken_drop_in_is_told_without_what_follows_from_it(tmp_path: Path) -> None:
    head, _, rest = MINIMAL.partition("[[chain]]")
    (tmp_path / "a.toml").write_text("[[chain]]" + rest + "oops\n")
    lines = problems(tmp_path, "include = ['a.toml']\n" + head.replace("host-a", "HOST"))
    assert [line.split(": ")[0] for line in lines] == ["tocsin.toml:5", "a.toml:11"]


def test_drop_ins_do_not_include(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("include = ['tocsin.toml']\n")
    assert problems(tmp_path, "include = ['a.toml']\n" + MINIMAL) == [
        "a.toml:1: include: only the main file includes others"
    ]


def test_a_file_is_read_once_however_often_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[mqtt]\nurl = "mqtt://h"\n')
    result = loaded(tmp_path, "include = ['a.toml', '*.toml', './a.toml']\n" + MINIMAL)
    assert [Path(file).name for file in result.files] == ["tocsin.toml", "a.toml"]


@pytest.mark.parametrize("name", ["missing.toml", "folder", "pipe", "/dev/zero", "nul\0byte"])
def test_what_is_no_file_is_an_error_and_never_blocks(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, registry=REGISTRY, environ={})
    assert len(caught.value.problems) == 1


def test_an_unreadable_include_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.toml")
    assert problems(tmp_path, "include = ['*a.toml']\n" + MINIMAL) == ["a.toml: is not a regular file"]


def test_text_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tocsin.toml"
    file.write_bytes(MINIMAL.encode() + b"x = '\xff'\n")
    with pytest.raises(ConfigError, match=r"tocsin\.toml:15: is not UTF-8 text"):
        load(file, registry=REGISTRY, environ={})


def test_a_wrong_file_does_not_flood(tmp_path: Path) -> None:
    lines = problems(tmp_path, MINIMAL + "".join(f'[detector."x{number}"]\n' for number in range(1200)))
    assert len(lines) == 1001
    assert lines[-1] == "and 200 more"


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is larger than"):
        loaded(tmp_path, MINIMAL + "#" * (1 << 20))


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    lines = problems(tmp_path, MINIMAL + 'ca = "ca.pem"\ncert = "none.pem"\n')
    assert lines == [
        "tocsin.toml:15: chain.0.node.1.ca: is not a PEM file",
        "tocsin.toml:16: chain.0.node.1.cert: cannot be read: No such file or directory",
    ]


def test_one_group_is_loaded_with_a_warning(tmp_path: Path) -> None:
    warnings = loaded(tmp_path, MINIMAL + 'provider = "self"\n').warnings
    assert len(warnings) == 1
    assert "tocsin.toml:5: chain.0: uncorroborated by configuration: 2 nodes make one independent group" in warnings[0]
    assert loaded(tmp_path).warnings == ()
    alone = MINIMAL[: MINIMAL.rindex("[[chain.node]]")]
    assert (
        "uncorroborated by configuration: one node makes one independent group" in loaded(tmp_path, alone).warnings[0]
    )


INDEX = (
    f'[[chain.index]]\nname = "holders"\nfrom = 1\naddresses = ["0x{"11" * 20}"]\n'
    '[[chain.index.event]]\nname = "to"\ntopic = "Transfer(address,address,uint256)"\naccount = "topic2"\n'
)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('budget = "50k/day"\n', "tocsin.toml:15: chain.0.node.1.budget: 50k/day is less than the about 79200 calls"),
        ('budget = "50k/day"\n', "it will be asked more rarely, down to every 1m"),
        ('budget = "5k/day"\n', "even the rarest polls take 7200: it will often not be asked at all"),
        (
            '[[provider]]\nname = "eth.alchemy.example"\nbudget = "500k/day"\nprices = { eth_getBlockByNumber = 20 }\n',
            "provider.0.budget: 500k/day is less than the about 900000 units that polling the nodes",
        ),
        (
            '[[chain.beacon]]\nname = "b"\nurl = "http://10.9.9.9:5052"\nbudget = "100k/day"\n',
            "chain.0.beacon.0.budget: 100k/day is less than the about 108000 requests that polling takes",
        ),
        (
            INDEX.replace("[[chain.index]]", 'budget = "85k/day"\n[[chain.index]]'),
            "chain.0.node.1.budget: 85k/day is less than the about 104424 calls that polling and log indexes take: ",
        ),
        (
            INDEX + '[[provider]]\nname = "eth.alchemy.example"\nbudget = "500k/day"\nprices = { eth_getLogs = 75 }\n',
            "provider.0.budget: 500k/day is less than the about 1170024 units that its nodes and their log indexes ",
        ),
        ('[detector."node.lag"]\nclear = { under = 4 }\n', "clear: clears above the limit that fires"),
        ('[detector."node.lag"]\ncritical = { over = 2 }\n', "critical: critical begins below warning"),
        (
            '[[chain.node]]\nname = "twin"\nurl = "https://eth.alchemy.example/"\n',
            "tocsin.toml:17: chain.0.node.2.url: is the URL of node alchemy too",
        ),
    ],
)
def test_doubtful_but_possible_values_are_warned_of(tmp_path: Path, more: str, said: str) -> None:
    warnings = loaded(tmp_path, MINIMAL + more).warnings
    assert any(said in line for line in warnings), warnings


def test_own_nodes_without_the_tag_they_vote_by_are_warned_of(tmp_path: Path) -> None:
    text = MINIMAL.replace('profile = "ethereum"', 'profile = "ethereum"\nvote_by = ["client"]')
    [warning] = loaded(tmp_path, text).warnings
    assert "chain.0.node.0: has no client, which vote_by names" in warning


def test_the_tree_cannot_be_changed(tmp_path: Path) -> None:
    tree: Tree = loaded(tmp_path).tree
    with pytest.raises(ValueError, match="frozen"):
        tree.chains[0].nodes[0].own = False


def test_what_may_break_a_tie_is_configured_by_chain(tmp_path: Path) -> None:
    plain = loaded(tmp_path).settings.chains[0]
    assert (plain.trusted, plain.tie_break) == (None, ("validity", "checkpoint", "trusted"))
    pinned = "0x" + "ab" * 32
    more = f'profile = "ethereum"\ntrusted = {{ number = 7, hash = "{pinned}" }}\ntie_break = ["trusted", "own"]'
    chain = loaded(tmp_path, MINIMAL.replace('profile = "ethereum"', more)).settings.chains[0]
    assert (chain.trusted, chain.tie_break) == (BlockRef(number=7, hash=pinned), ("trusted", "own"))
    bad = more.replace('"own"', '"luck"')
    assert any("tie_break" in line for line in problems(tmp_path, MINIMAL.replace('profile = "ethereum"', bad)))


PROVIDER = '[[provider]]\nname = "alchemy.example"\nbudget = "12M/day"\nprices = { eth_getBlockByNumber = 20 }\n'


def test_a_provider_has_a_budget_of_units_and_prices(tmp_path: Path) -> None:
    [provider] = loaded(tmp_path, MINIMAL + 'provider = "alchemy.example"\n' + PROVIDER).tree.providers
    assert (provider.name, provider.budget, provider.prices) == (
        "alchemy.example",
        12_000_000,
        {"eth_getBlockByNumber": 20},
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            PROVIDER.replace("alchemy.example", "alchemi.example"),
            "provider.0.name: no node has the provider alchemi.example (did you mean alchemy.example?)",
        ),
        (PROVIDER + PROVIDER, "provider.1.name: the same name is given at"),
        (PROVIDER.replace("eth_getBlockByNumber", "getblock"), "is not the name of a JSON-RPC method"),
        (PROVIDER.replace("20", "-1"), "must be at least 0"),
        (PROVIDER.replace('budget = "12M/day"\n', ""), "provider.0.budget: "),
        (PROVIDER.replace("[[provider]]", "[provider]"), "write [[provider]]"),
    ],
)
def test_a_wrong_provider_is_reported(tmp_path: Path, more: str, said: str) -> None:
    found = problems(tmp_path, MINIMAL + 'provider = "alchemy.example"\n' + more)
    assert any(said in line for line in found), found


def test_a_ping_that_would_prove_nothing_of_delivery_is_refused_where_there_is_a_broker(tmp_path: Path) -> None:
    more = '[mqtt]\nurl = "mqtt://h"\n[deadman]\nurl = "https://h/x"\n[self_test]\nevery = "0s"\n'
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, MINIMAL + more)
    assert "deadman: a full pass ends with the echo of the self-test, and there is none" in str(caught.value.problems)


@pytest.mark.parametrize("every", ["500ms", "2h"])
def test_a_self_test_is_said_every_second_to_every_hour_or_never(tmp_path: Path, every: str) -> None:
    with pytest.raises(ConfigError, match="every must be between 1s and 1h, or 0s for never"):
        loaded(tmp_path, MINIMAL + f'[self_test]\nevery = "{every}"\n')
