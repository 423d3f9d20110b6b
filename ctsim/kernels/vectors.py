"""Numbers worked side by side in kernels: vectors of float32 whose width is fixed when a kernel is compiled.

Compilers turn a loop into vector instructions only where they can prove that its arrays do not overlap and where its
length suits the registers. These vectors need no proof: ``load(array, offset, 8)`` reads eight neighbouring elements,
``store`` writes them, and ``+ - * /`` work on all of them at once, also with a float32 on either side. Offsets count
elements from the array's first, whatever its dimensions; the array must be contiguous, and nothing is checked.

A width may exceed the processor's registers; it is then split. Lanes never mix, so results do not depend on that.

Float policy: ``contract`` only, as in the kernels that use them.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import make_array

_FLAGS = ("contract",)


class Lanes(types.Type):
    """Numba's type of ``n`` float32 numbers."""

    def __init__(self, n):
        super().__init__(name=f"Lanes({n})")
        self.n = n


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _vector(fe_type.n))


def _vector(n):
    return ir.VectorType(ir.FloatType(), n)


def _splat(builder, value, n):
    """All lanes the same."""
    empty = ir.Constant(_vector(n), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))


def _operation(function, build):
    """Teach Numba an operator on lanes of one width, or lanes and a float32."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, args, kws):
            lanes = [a for a in args if isinstance(a, Lanes)]
            if not kws and lanes and all(a in (lanes[0], types.float32) for a in args):
                return signature(lanes[0], *args)
            return None

    def lower(context, builder, sig, args):
        vectors = [
            a if isinstance(t, Lanes) else _splat(builder, a, sig.return_type.n)
            for a, t in zip(args, sig.args, strict=True)
        ]
        return build(builder, *vectors)

    for pair in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(function, *pair)(lower)


_operation(operator.add, lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
_operation(operator.sub, lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS))
_operation(operator.mul, lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS))
_operation(operator.truediv, lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS))


def _address(context, builder, array_type, array, offset, n):
    data = make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), ir.PointerType(_vector(n)))


@intrinsic(prefer_literal=True)
def load(typingctx: Any, array: Any, offset: Any, n: Any) -> Any:
    """``n`` (a literal) elements of a contiguous float32 array, from ``offset`` on."""
    lanes = Lanes(n.literal_value)

    def codegen(context, builder, sig, args):
        at = _address(context, builder, sig.args[0], args[0], args[1], lanes.n)
        return builder.load(at, align=4, typ=_vector(lanes.n))

    return lanes(array, types.intp, n), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write lanes to a contiguous float32 array, from ``offset`` on."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], _address(context, builder, sig.args[0], args[0], args[1], value.n), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic(prefer_literal=True)
def splat(typingctx: Any, value: Any, n: Any) -> Any:
    """``n`` (a literal) lanes of one float32."""
    lanes = Lanes(n.literal_value)
    return lanes(types.float32, n), lambda context, builder, sig, args: _splat(builder, args[0], lanes.n)


@intrinsic
def least(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of two lanes."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return a(a, b), codegen


@intrinsic
def greatest(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two lanes."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, b), codegen


@intrinsic
def where_up_to(typingctx: Any, a: Any, limit: Any, value: Any, other: Any) -> Any:
    """``value`` in lanes where a <= limit, else ``other``."""

    def codegen(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<=", args[0], args[1]), args[2], args[3])

    return a(a, limit, value, other), codegen


@intrinsic
def lane(typingctx: Any, value: Any, index: Any) -> Any:
    """One of the numbers."""

    def codegen(context, builder, sig, args):
        return builder.extract_element(args[0], args[1])

    return types.float32(value, types.int32), codegen


def _reduced(comparison):
    """Fold lanes upon each other until one is left."""

    def codegen(context, builder, sig, args):
        (value,) = args
        n = sig.args[0].n
        while n > 1:
            n //= 2
            low, high = (
                builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), n), list(part)))
                for part in (range(n), range(n, 2 * n))
            )
            value = builder.select(builder.fcmp_ordered(comparison, low, high), low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return codegen


@intrinsic
def lowest(typingctx: Any, value: Any) -> Any:
    """The smallest of the numbers; their count is a power of 2."""
    return types.float32(value), _reduced("<")


@intrinsic
def highest(typingctx: Any, value: Any) -> Any:
    """The largest of the numbers; their count is a power of 2."""
    return types.float32(value), _reduced(">")


@intrinsic
def store_transposed(
    typingctx: Any, array: Any, offset: Any, pitch: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """Write eight lanes of eight, so that lane i of all of them lies together at ``offset + i * pitch``."""

    def codegen(context, builder, sig, args):
        rows = list(args[3:])
        index = ir.VectorType(ir.IntType(32), 8)

        # three rounds of exchanges: neighbours, pairs, quarters
        step = 1
        while step < 8:
            mixed = list(rows)
            for i in range(8):
                if i & step == 0:
                    j = i | step
                    mask_low = [k if k & step == 0 else 8 + (k ^ step) for k in range(8)]
                    mask_high = [k ^ step if k & step == 0 else 8 + k for k in range(8)]
                    mixed[i] = builder.shuffle_vector(rows[i], rows[j], ir.Constant(index, mask_low))
                    mixed[j] = builder.shuffle_vector(rows[i], rows[j], ir.Constant(index, mask_high))
            rows = mixed
            step *= 2
        at = args[1]
        for row in rows:
            builder.store(row, _address(context, builder, sig.args[0], args[0], at, 8), align=4)
            at = builder.add(at, args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, *(8 * (a,))), codegen
