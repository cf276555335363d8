"""Which nodes count as one vote."""

from itertools import permutations

from tests.support.chains import node, pool

from tocsin.chain.groups import Group, group_nodes, without


def ids(*nodes: object, vote_by: tuple[str, ...] = ("provider", "operator")) -> list[str]:
    return [group.id for group in group_nodes(nodes, vote_by).groups]  # type: ignore[arg-type]


def test_nodes_of_one_provider_are_one_vote() -> None:
    groups = pool("P1=P P2=P O")
    assert groups.groups == (Group(id="O", nodes=("O",)), Group(id="P1+P2", nodes=("P1", "P2")))
    assert (groups.nodes, groups.assumption) == (3, None)


def test_provider_and_operator_bind_over_a_chain_of_nodes() -> None:
    a = node("a", "aws", operator="us")
    b = node("b", "hetzner", operator="us")
    c = node("c", "hetzner", operator="them")
    d = node("d", "ovh", operator="other")
    for order in permutations([a, b, c, d]):
        assert ids(*order) == ["a+b+c", "d"]


def test_own_nodes_may_vote_by_client_and_the_assumption_is_named() -> None:
    own = [node("geth", "self", own=True, client="geth"), node("reth", "self", own=True, client="reth")]
    assert ids(*own) == ["geth+reth"]
    groups = group_nodes(own, ("client",))
    assert [group.id for group in groups.groups] == ["geth", "reth"]
    assert groups.assumption == "own nodes vote by client"


def test_independence_of_own_nodes_is_an_assumption_only_where_it_matters_and_goes_beyond_provider_and_operator() -> (
    None
):
    own = [node("geth", "self", own=True, client="geth"), node("reth", "self", own=True, client="reth")]
    assert group_nodes(own).assumption is None
    assert group_nodes(own, ("provider", "operator", "client")).assumption is None
    assert group_nodes([*own[:1], node("p", "alchemy")], ("client",)).assumption is None
    assert group_nodes(own, ("provider",)).assumption == "own nodes vote by provider"
    assert group_nodes(own, ("client", "host")).assumption == "own nodes vote by client and host"


def test_own_nodes_that_nothing_tells_apart_stay_one_vote() -> None:
    own = [node("one", "self", own=True), node("two", "self", own=True)]
    assert ids(*own, vote_by=("client",)) == ["one+two"]
    assert ids(*own, vote_by=("host",)) == ["one+two"]


def test_nodes_of_others_are_bound_by_provider_whatever_own_nodes_vote_by() -> None:
    nodes = [
        node("own-1", "self", own=True, client="geth"),
        node("own-2", "self", own=True, client="besu"),
        node("p1", "alchemy"),
        node("p2", "alchemy"),
        node("q", "infura"),
        node("hosted", "self", client="reth"),
    ]
    assert ids(*nodes[:5], vote_by=("client",)) == ["own-1", "own-2", "p1+p2", "q"]
    # A node of somebody else that runs at the same provider binds the own ones again.
    assert ids(*nodes, vote_by=("client",)) == ["hosted+own-1+own-2", "p1+p2", "q"]


def test_a_declared_client_binds_beyond_the_own_nodes() -> None:
    nodes = [node("own", "self", own=True, client="geth"), node("p", "alchemy", client="geth")]
    assert ids(*nodes, vote_by=("client",)) == ["own+p"]


def test_no_nodes_are_no_groups() -> None:
    assert pool("").groups == ()


def test_client_families_are_told_apart_by_name_alone_and_unknown_ones_are_none() -> None:
    groups = group_nodes(
        [node("a", client="geth"), node("b", client=" Geth "), node("c", client=""), node("d", client="reth")]
    )
    assert groups.clients == {"a": "geth", "b": "geth", "d": "reth"}
    assert groups.families == 2


def test_a_group_keeps_its_size_without_some_of_its_nodes_and_is_gone_without_all_of_them() -> None:
    left = without(pool("P1=P P2=P O A"), {"P1", "O"})
    assert left.groups == (Group(id="A", nodes=("A",)), Group(id="P1+P2", nodes=("P1", "P2")))
    assert left.nodes == 3
