"""Sixteen floats as one value of compiled loops: the compiler keeps them in registers instead of in a list in memory.

What a loop over sixteen lanes leaves to the compiler's guess is written down here: a product with a factor of each
lane, a sum of each lane, a comparison that gives a bit for each lane. Products and sums are rounded one by one, none
is fused or reordered. On a processor with registers of four floats a value is four of them, on others two or eight.

Numba keeps compiled loops by the file of the loop: whoever changes this one deletes `__pycache__` beside it.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import extending, types
from numba.core.datamodel import models, register_default

from tocsin.risk.scenarios import LEAF

_VECTOR: Final = ir.VectorType(ir.DoubleType(), LEAF)
_BOOLS: Final = ir.VectorType(ir.IntType(1), LEAF)
_NONE: Final = ir.Constant(_VECTOR, None)
_OF_FLOATS: Final = 8
"""Bytes at whose multiples arrays of floats begin; registers would like more, and do not insist."""

_Made = tuple[Any, Callable[[Any, Any, Any, Any], Any]]
"""A signature, and what makes instructions of context, builder, signature and arguments."""


def intrinsic(function: Callable[..., _Made]) -> Callable[..., Any]:
    """Make a function callable in compiled loops."""
    made: Callable[..., Any] = extending.intrinsic(function)
    return made


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _Mask(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Mask")


@register_default(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


@register_default(_Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BOOLS)


_LANES: Final = _Lanes()
_MASK: Final = _Mask()


def _spread(builder: Any, value: Any) -> Any:
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LEAF), None))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _VECTOR.as_pointer())


@intrinsic
def zeros(_typing: Any) -> _Made:
    """Return zero in each lane."""
    return _LANES(), lambda _context, _builder, _signature, _arguments: _NONE


@intrinsic
def alike(_typing: Any, _value: Any) -> _Made:
    """Return a float in each lane."""
    return _LANES(types.float64), lambda _context, builder, _signature, arguments: _spread(builder, arguments[0])


@intrinsic
def load(_typing: Any, array: Any, _place: Any) -> _Made:
    """Return the sixteen floats of a flat array that begin at a place."""

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load(_pointer(context, builder, signature.args[0], *arguments))
        found.align = _OF_FLOATS
        return found

    return _LANES(array, types.uint64), made


@intrinsic
def store(_typing: Any, array: Any, _place: Any, _lanes: Any) -> _Made:
    """Put sixteen floats into a flat array at a place."""

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, place, lanes = arguments
        builder.store(lanes, _pointer(context, builder, signature.args[0], target, place)).align = _OF_FLOATS
        return context.get_dummy_value()

    return types.void(array, types.uint64, _LANES), made


def _of_two(instruction: str) -> Any:
    @intrinsic
    def compiled(_typing: Any, _one: Any, _other: Any) -> _Made:
        def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return _LANES(_LANES, _LANES), made

    return compiled


plus: Final = _of_two("fadd")
minus: Final = _of_two("fsub")
times: Final = _of_two("fmul")
by: Final = _of_two("fdiv")


@intrinsic
def is_above(_typing: Any, _one: Any, _other: Any) -> _Made:
    """Return in which lanes the first is above the second; where either is not a number it is not."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fcmp_ordered(">", *arguments)

    return _MASK(_LANES, _LANES), made


@intrinsic
def where(_typing: Any, _mask: Any, _lanes: Any) -> _Made:
    """Return lanes where a mask is true, and zero elsewhere."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments, _NONE)

    return _LANES(_MASK, _LANES), made


@intrinsic
def bits(_typing: Any, _mask: Any) -> _Made:
    """Return a mask as the bits of an integer, the first lane lowest."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.bitcast(arguments[0], ir.IntType(LEAF)), ir.IntType(64))

    return types.uint64(_MASK), made


@intrinsic
def mask(_typing: Any, _bits: Any) -> _Made:
    """Return the lowest bits of an integer as a mask."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.trunc(arguments[0], ir.IntType(LEAF)), _BOOLS)

    return _MASK(types.uint64), made


@intrinsic
def lowest(_typing: Any, _bits: Any) -> _Made:
    """Return the place of the lowest bit that is set; there has to be one."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), made


@intrinsic
def how_many(_typing: Any, _bits: Any) -> _Made:
    """Return how many bits are set."""

    def made(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), made
