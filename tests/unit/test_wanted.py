"""What is wanted of a block and was not asked yet: each thing once, proofs of one account in one."""

from tocsin.engine.wanted import missing
from tocsin.model.reading import CallOf, CodeOf, ProofOf, SlotOf, merged

A, B = bytes(19) + b"\xaa", bytes(19) + b"\xbb"
ONE, TWO = (1).to_bytes(32), (2).to_bytes(32)


def test_each_thing_is_wanted_once_and_all_slots_of_an_account_in_one_proof() -> None:
    every = (
        CodeOf(address=A),
        ProofOf(address=A, keys=(ONE,)),
        ProofOf(address=B),
        ProofOf(address=A, keys=(TWO, ONE)),
    )
    found = merged((*every, CodeOf(address=A)))
    assert found == (ProofOf(address=A, keys=(ONE, TWO)), ProofOf(address=B), CodeOf(address=A))


def test_what_was_asked_is_not_asked_again() -> None:
    asked = (ProofOf(address=A, keys=(ONE,)), SlotOf(address=A, key=ONE), CallOf(to=A, data=b"1234"))
    assert missing(asked, asked) == ()


def test_of_a_proof_only_the_slots_are_asked_that_were_not_asked_yet() -> None:
    asked = (ProofOf(address=A, keys=(ONE,)),)
    assert missing((ProofOf(address=A, keys=(TWO, ONE)),), asked) == (ProofOf(address=A, keys=(TWO,)),)
    assert missing((ProofOf(address=A),), asked) == ()


def test_an_account_that_was_not_asked_for_is_asked_for_without_slots_too() -> None:
    assert missing((ProofOf(address=B),), (ProofOf(address=A, keys=(ONE,)),)) == (ProofOf(address=B),)


def test_a_call_with_other_input_or_as_if_of_other_code_is_another_one() -> None:
    asked = (CallOf(to=A, data=b"1234"),)
    others = (CallOf(to=A, data=b"1235"), CallOf(to=B, data=b"1234"), CallOf(to=A, data=b"1234", code=b"\x00"))
    assert missing((*asked, *others), asked) == others
