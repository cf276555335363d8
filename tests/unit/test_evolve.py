"""Frozen values with some fields changed: equal to what `dataclasses.replace` gives, and as frozen."""

import copy
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from tocsin.engine.state import ChainState, EngineState
from tocsin.model.alert import Over
from tocsin.model.evolve import evolve
from tocsin.model.trust import Case
from tocsin.model.view import NodeRecord


@pytest.mark.parametrize("value", [NodeRecord(polls=3), EngineState(boot="b"), ChainState(started_ns=1), Over(over=2)])
def test_every_field_can_be_changed_and_the_others_stay(value: object) -> None:
    for field in fields(value):  # type: ignore[arg-type]
        changed = evolve(value, **{field.name: "x"})
        assert type(changed) is type(value)
        assert changed == replace(value, **{field.name: "x"})  # type: ignore[type-var]


def test_a_changed_value_is_frozen_hashable_and_can_be_copied() -> None:
    changed = evolve(Over(over=2), polls=3)
    with pytest.raises(FrozenInstanceError):
        changed.over = 1  # type: ignore[misc]
    assert hash(changed) == hash(Over(over=2, polls=3))
    assert copy.deepcopy(changed) == changed
    assert repr(changed) == repr(Over(over=2, polls=3))


def test_a_field_may_be_called_as_the_parameter_is() -> None:
    subject = Case(labels=(), summary="", value=1, unit="", wall_ns=0)
    assert evolve(subject, value=2) == replace(subject, value=2)


def test_the_value_before_is_untouched() -> None:
    before = NodeRecord(polls=3)
    evolve(before, polls=4)
    assert before.polls == 3


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="NodeRecord has no such field"):
        evolve(NodeRecord(), pols=1)
