"""Weighted sums of z lines of voxels, and their reading by rows: the innermost loops of the projector, as vectors.

Loops over single numbers are left to the compiler elsewhere. Here it would have to keep the sums of all planes of a
group in registers, and to know that no loop has a remainder; both are said outright, as operations on vectors that any
processor's compiler back end cuts to its own width. Each lane adds up in its own order, whatever that width.

A summed line holds both densities of a voxel side by side, so that a row reads all that it needs from one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
"""Voxels summed together."""

MARGIN = 4
"""Zeros before the first and after the last voxel of a summed line."""

_CONTRACT = ("contract",)
_SINGLE, _WHOLE = ir.FloatType(), ir.IntType(32)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Pointer to an array's first element."""
    return context.make_array(kind)(context, builder, value).data


def _splat(builder: Any, value: Any, width: int) -> Any:
    """A vector of one number."""
    empty = ir.Constant(ir.VectorType(value.type, width), ir.Undefined)
    first = builder.insert_element(empty, value, ir.Constant(_WHOLE, 0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_WHOLE, width), [0] * width))


def _pick(builder: Any, vector: Any, lanes: list[int], other: Any = None) -> Any:
    """Chosen lanes of a vector, or of two one after the other."""
    mask = ir.Constant(ir.VectorType(_WHOLE, len(lanes)), lanes)
    return builder.shuffle_vector(vector, vector if other is None else other, mask)


def _load(builder: Any, pointer: Any, index: Any, element: Any, width: int, align: int) -> Any:
    kind = ir.VectorType(element, width).as_pointer()
    return builder.load(builder.bitcast(builder.gep(pointer, [index]), kind), align=align)


def _store(builder: Any, vector: Any, pointer: Any, index: Any) -> None:
    place = builder.bitcast(builder.gep(pointer, [index]), vector.type.as_pointer())
    builder.store(vector, place, align=4)


def _densities(builder: Any, words: Any, word: Any) -> list[Any]:
    """One or two vectors of float32 from one of stored voxels."""
    vector = ir.VectorType(_SINGLE, LANES)
    if isinstance(word, types.Float):
        return [words]
    if word.bitwidth == 16:
        return [builder.uitofp(words, vector)]
    mask = ir.Constant(ir.VectorType(_WHOLE, LANES), [0xFFFF] * LANES)
    half = ir.Constant(ir.VectorType(_WHOLE, LANES), [16] * LANES)
    return [builder.sitofp(builder.and_(words, mask), vector), builder.sitofp(builder.lshr(words, half), vector)]


@intrinsic
def sum_lines(typingctx: Any, volume: Any, offset: Any, weight: Any, count: Any, first: Any, line: Any) -> Any:
    """Overwrite ``LANES`` voxels of a summed line with weighted sums over z lines.

    volume  (Y, X, Z) int32 (two uint16 densities), uint16 or float32, C order
    offset  (N,)      int64    place of each line's first voxel in the volume's memory
    weight  (N,)      float32
    count             int      lines to be summed, an even number
    first             int      first voxel of the block, counted along the lines
    line    (2 L,)    float32  densities 0 and 1 of voxel k at 2 (MARGIN + k); density 1 is 0 where voxels hold one
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data, offsets, weights, target = (_data(context, builder, signature.args[k], args[k]) for k in (0, 1, 2, 5))
        count, first = args[3], args[4]
        vector, integer = ir.VectorType(_SINGLE, LANES), count.type
        zero = ir.Constant(vector, [0.0] * LANES)
        before = builder.block
        body, after = builder.append_basic_block("lines"), builder.append_basic_block("summed")
        builder.cbranch(builder.icmp_signed(">", count, ir.Constant(integer, 0)), body, after)
        builder.position_at_end(body)
        m = builder.phi(integer)
        m.add_incoming(ir.Constant(integer, 0), before)
        n_densities = 2 if volume.dtype == types.int32 else 1
        so_far = [builder.phi(vector) for _ in range(2 * n_densities)]  # even and odd lines apart
        more = []
        for odd in range(2):
            at = builder.add(m, ir.Constant(integer, odd))
            start = builder.add(builder.load(builder.gep(offsets, [at])), first)
            share = _splat(builder, builder.load(builder.gep(weights, [at])), LANES)
            words = _load(builder, data, start, data.type.pointee, LANES, volume.dtype.bitwidth // 8)
            for density, values in enumerate(_densities(builder, words, volume.dtype)):
                added = builder.fmul(values, share, flags=_CONTRACT)
                more.append(builder.fadd(so_far[odd * n_densities + density], added, flags=_CONTRACT))
        following = builder.add(m, ir.Constant(integer, 2))
        m.add_incoming(following, body)
        builder.cbranch(builder.icmp_signed("<", following, count), body, after)
        builder.position_at_end(after)
        sums = []
        for phi, total in zip(so_far, more, strict=True):
            phi.add_incoming(zero, before)
            phi.add_incoming(total, body)
            whole = builder.phi(vector)
            whole.add_incoming(zero, before)
            whole.add_incoming(total, body)
            sums.append(whole)
        densities = [builder.fadd(sums[k], sums[k + n_densities]) for k in range(n_densities)] + [zero]
        side_by_side = [lane + LANES * density for lane in range(LANES) for density in range(2)]
        place = builder.mul(builder.add(first, ir.Constant(integer, MARGIN)), ir.Constant(integer, 2))
        _store(builder, _pick(builder, densities[0], side_by_side, densities[1]), target, place)
        return context.get_dummy_value()

    return types.void(volume, offset, weight, types.intp, types.intp, line), codegen


def _reader(n_voxels: int) -> Callable[..., Any]:
    """Code that adds a weighted sum of neighbouring voxels of a summed line to a row's two readings."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line, reading = (_data(context, builder, signature.args[k], args[k]) for k in (0, 2 + n_voxels))
        two = ir.Constant(args[1].type, 2)
        found = _load(builder, line, builder.mul(args[1], two), _SINGLE, 2 * n_voxels, 4)
        place = builder.mul(args[3 + n_voxels], two)
        total = _load(builder, reading, place, _SINGLE, 2, 4)
        for k in range(n_voxels):
            pair = builder.fmul(
                _pick(builder, found, [2 * k, 2 * k + 1]), _splat(builder, args[2 + k], 2), flags=_CONTRACT
            )
            total = builder.fadd(total, pair, flags=_CONTRACT)
        _store(builder, total, reading, place)
        return context.get_dummy_value()

    return codegen


@intrinsic
def read_two(typingctx: Any, line: Any, k: Any, a: Any, b: Any, reading: Any, row: Any) -> Any:
    """Add a L[k] + b L[k + 1] to the readings of a row, k counted from the line's first zero."""
    f = types.float32
    return types.void(line, types.intp, f, f, reading, types.intp), _reader(2)


@intrinsic
def read_four(typingctx: Any, line: Any, k: Any, a: Any, b: Any, c: Any, d: Any, reading: Any, row: Any) -> Any:
    """Add a L[k] + b L[k + 1] + c L[k + 2] + d L[k + 3] to the readings of a row."""
    f = types.float32
    return types.void(line, types.intp, f, f, f, f, reading, types.intp), _reader(4)
