"""The page about the agreed head against the code: it promises what is there, and nothing that may come."""

import re
from pathlib import Path

from tocsin.chain.dispute import TIE_BREAKERS
from tocsin.config.tree import Chain

PAGE = (Path(__file__).parents[2] / "docs/explanation/agreement.md").read_text()


def test_the_tie_breakers_of_the_page_are_those_of_the_code_in_their_order() -> None:
    assert re.findall(r"^\d\. `(\w+)`:", PAGE, re.MULTILINE) == list(TIE_BREAKERS)
    assert tuple(Chain.model_fields["tie_break"].default) == TIE_BREAKERS[:3]


def test_no_proof_is_promised() -> None:
    assert "Proofs of state (`eth_getProof`) are no tie-breaker" in PAGE
    assert "proof" not in TIE_BREAKERS
