"""A match that remembers says what one says that does not."""

from hypothesis import given
from hypothesis import strategies as st

from tocsin.alerting import matching
from tocsin.alerting.matching import Sieve, matches, parse
from tocsin.model.alert import Severity

TERMS = st.sampled_from(
    [
        "detector=node.*",
        "detector!=node.lag",
        "severity<=warning",
        "severity!=info",
        "chain=eip155:1",
        "node=a|b",
        "node!=*",
        "node=",
        "peer=?",
        'node="*"',
    ]
)
LABELS = st.dictionaries(st.sampled_from(["chain", "node", "peer"]), st.sampled_from(["eip155:1", "a", "b", "*", ""]))
ALERTS = st.tuples(st.sampled_from(["node.lag", "node.fork", "pool.split"]), st.sampled_from(list(Severity)), LABELS)


@given(terms=st.lists(TERMS, min_size=1, max_size=4), alerts=st.lists(ALERTS, max_size=20), most=st.integers(1, 4))
def test_a_sieve_says_what_the_terms_say(
    terms: list[str], alerts: list[tuple[str, Severity, dict[str, str]]], most: int
) -> None:
    parsed = parse(" ".join(terms))
    one, kept = Sieve(parsed), matching._MOST_KNOWN
    matching._MOST_KNOWN = most
    try:
        for detector, severity, labels in alerts:
            pairs = tuple(sorted(labels.items()))
            assert one.fits(detector, severity, pairs) is matches(parsed, detector, severity, pairs)
    finally:
        matching._MOST_KNOWN = kept
