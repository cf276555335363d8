"""What is worked out of a frozen value is worked out once, and never for another one."""

from dataclasses import dataclass

from tocsin.model.newest import newest


@dataclass(frozen=True)
class Value:
    number: int


def test_of_the_same_value_it_is_worked_out_once_and_of_an_equal_one_anew() -> None:
    asked: list[Value] = []

    @newest
    def doubled(value: Value) -> int:
        asked.append(value)
        return 2 * value.number

    one, twin, other = Value(1), Value(1), Value(2)
    assert [doubled(value) for value in (one, one, other, other, one, twin, twin)] == [2, 2, 4, 4, 2, 2, 2]
    assert asked == [one, other, one, twin]
