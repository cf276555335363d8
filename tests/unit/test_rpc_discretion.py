"""What a node repeats of its own secrets is not kept; everything else stays as it came, to the byte."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_secret_forms import basic

from tocsin.model.observation import LATEST, Part
from tocsin.rpc.discretion import Discretion
from tocsin.secret import Secret, SecretUrl

URL = SecretUrl("https://ann:dis%40cretion@node.example/v3/discretion0042/transactions?key=dis%22cretion%2F99")
OURS = Discretion([URL, Secret("Bearer discretiontoken")])

SECRETS = (
    "discretion0042",
    "dis@cretion",
    'dis"cretion/99',
    "discretiontoken",
    "Bearer discretiontoken",
    URL.reveal(),
    basic("ann:dis@cretion"),
)


def kept(result: object) -> bytes:
    [part] = OURS.of((Part(call=LATEST, result=orjson.dumps(result)),))
    assert part.result is not None
    return part.result


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_blanked_wherever_it_stands(secret: str) -> None:
    said = {"number": "0x1", "via": f"key {secret}!", "deep": [[{"x": secret}]], f"k-{secret}": 1}
    assert orjson.loads(kept(said)) == {"number": "0x1", "via": "key ***!", "deep": [[{"x": "***"}]], "k-***": 1}


def test_fields_and_data_stay_whatever_the_url_is_made_of() -> None:
    short = Discretion([SecretUrl("http://node.example/abcdef/transactions")])
    header = {"transactions": ["0x12abcdef34"], "hash": "0xabcdef", "n": 1, "note": "/abcdef/"}
    [part] = short.of((Part(call=LATEST, result=orjson.dumps(header)),))
    assert orjson.loads(part.result or b"") == {**header, "note": "/***/"}


@given(st.recursive(st.none() | st.booleans() | st.integers(0, 9) | st.text(), st.lists))
def test_what_holds_no_secret_is_not_touched(result: object) -> None:
    parts = (Part(call=LATEST, result=orjson.dumps(result)), Part(call=LATEST))
    assert OURS.of(parts) is parts
