"""SHA-256 kernels as LLVM IR: a loop over a range of nonces, and steps of it for vectors and for SHA instructions.

A kernel is one C function, `search`:

    int64 search(const uint8 *header, int64 start, int64 count, uint32 top,
                 uint32 *found, int64 room, int64 *hits)

It hashes nonces from `start` in steps of `lanes` and writes those whose hash has its most significant word <= `top` to
`found`, rising, until `count` are done or a further step might not fit into `room`, which is at least `lanes`. It
returns how many nonces it has covered from `start` without a gap, at most `count`, and sets `*hits`. It touches nothing
else and never blocks.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from node.engines.sha256_words import Kind, Word, header_program, in_order

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
SEARCH = ir.FunctionType(I64, [I8.as_pointer(), I64, I64, I32, I32.as_pointer(), I64, I64.as_pointer()])

Value = Any  # of llvmlite, which has no types
Step = Callable[[ir.IRBuilder, Sequence[Value], Value, Value], Value]
"""(builder, table, first nonce, top) -> a mask, an integer of `lanes` bits, the first nonce's lowest."""


class Lanes:
    """Operations on vectors of 32-bit words, one nonce a lane: whatever width LLVM has registers for, or splits into."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._program = header_program()
        self.table = self._program.table
        self._vector = ir.VectorType(I32, lanes)

    def step(self, builder: ir.IRBuilder, table: Sequence[Value], first: Value, top: Value) -> Value:
        known = {word: self._splat(builder, value) for word, value in zip(self.table, table, strict=True)}
        for word in self._program.lanes:
            if word.operation == "nonce":
                known[word] = builder.add(self._splat(builder, first), self._vector(list(range(self.lanes))))
            else:
                emit(builder, word, known, lambda number: self._vector([number] * self.lanes))
        below = builder.icmp_unsigned("<=", known[self._program.result], self._splat(builder, top))
        return builder.bitcast(below, ir.IntType(self.lanes))

    def _splat(self, builder: ir.IRBuilder, value: Value) -> Value:
        undefined = ir.Constant(self._vector, ir.Undefined)
        one = builder.insert_element(undefined, value, I32(0))
        return builder.shuffle_vector(one, undefined, ir.VectorType(I32, self.lanes)([0] * self.lanes))


def emit(builder: ir.IRBuilder, word: Word, known: dict[Word, Value], constant: Callable[[int], Value]) -> None:
    """Add one operation, of words or vectors alike, to `known`."""
    values = [constant(each.number) if each.kind is Kind.CONSTANT else known[each] for each in word.operands]
    match word.operation, values:
        case "add", (x, y):
            known[word] = builder.add(x, y)
        case "sub", (x, y):
            known[word] = builder.sub(x, y)
        case "rotr", (x,):
            known[word] = _intrinsic(builder, "fshr", x, x, constant(word.number))
        case "shr", (x,):
            known[word] = builder.lshr(x, constant(word.number))
        case "parity", (x, y, z):
            known[word] = builder.xor(builder.xor(x, y), z)
        case "ch", (x, y, z):
            known[word] = builder.xor(z, builder.and_(x, builder.xor(y, z)))
        case "maj", (x, y, z):
            # y ^ z is x ^ y of the round before, which LLVM sees and does not compute again
            known[word] = builder.xor(y, builder.and_(builder.xor(x, y), builder.xor(y, z)))
        case "swap", (x,):
            known[word] = _intrinsic(builder, "bswap", x)
        case _:
            raise ValueError(f"{word.operation} is no operation of a kernel")


def _intrinsic(builder: ir.IRBuilder, name: str, *operands: Value) -> Value:
    kind = operands[0].type
    suffix = f"v{kind.count}i32" if isinstance(kind, ir.VectorType) else "i32"
    return call(builder, f"llvm.{name}.{suffix}", kind, *operands)


def call(builder: ir.IRBuilder, name: str, returns: Value, *operands: Value) -> Value:
    """Call a function that LLVM itself defines."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(returns, [each.type for each in operands]), name)
    return builder.call(function, operands)


def module(lanes: int, table: Sequence[Word], step: Step) -> ir.Module:
    """A module with one function, `search`: see above. `table` is what `step` wants to know of the header."""
    whole = ir.Module("sha256")
    search = ir.Function(whole, SEARCH, "search")
    header, start, count, top, found, room, hits = search.args
    found.add_attribute("noalias")
    entry, loop, note, on, end = (search.append_basic_block(name) for name in ("entry", "loop", "note", "on", "end"))
    builder = ir.IRBuilder(entry)
    words = _once(builder, header, table)
    enough = builder.sub(room, I64(lanes))
    builder.branch(loop)

    builder.position_at_end(loop)
    done, held = builder.phi(I64), builder.phi(I64)
    first = builder.trunc(builder.add(start, done), I32)
    below = step(builder, [builder.load(each) for each in words], first, top)
    left = builder.sub(count, done)
    outside = builder.select(builder.icmp_signed("<", left, I64(lanes)), builder.shl(I64(-1), left), I64(0))
    hit = builder.and_(builder.zext(below, I64), builder.not_(outside))
    builder.cbranch(builder.icmp_unsigned("!=", hit, I64(0)), note, on)

    builder.position_at_end(note)
    rest, place = builder.phi(I64), builder.phi(I64)
    lane = builder.trunc(call(builder, "llvm.cttz.i64", I64, rest, ir.IntType(1)(1)), I32)
    builder.store(builder.add(first, lane), builder.gep(found, [place]))
    rest_after, place_after = builder.and_(rest, builder.sub(rest, I64(1))), builder.add(place, I64(1))
    builder.cbranch(builder.icmp_unsigned("!=", rest_after, I64(0)), note, on)

    builder.position_at_end(on)
    held_after, done_after = builder.phi(I64), builder.add(done, I64(lanes))
    more = builder.and_(
        builder.icmp_signed("<", done_after, count), builder.icmp_signed("<=", held_after, enough)
    )
    builder.cbranch(more, loop, end)

    builder.position_at_end(end)
    builder.store(held_after, hits)
    builder.ret(builder.select(builder.icmp_signed("<", done_after, count), done_after, count))

    for phi, comes in (
        (done, {entry: I64(0), on: done_after}),
        (held, {entry: I64(0), on: held_after}),
        (rest, {loop: hit, note: rest_after}),
        (place, {loop: held, note: place_after}),
        (held_after, {loop: held, note: place_after}),
    ):
        for block, value in comes.items():
            phi.add_incoming(value, block)
    return whole


def _once(builder: ir.IRBuilder, header: Value, table: Sequence[Word]) -> list[Value]:
    """Compute the table's words from the header and keep them in memory, where vectors broadcast them from."""
    words = builder.bitcast(header, I32.as_pointer())
    known: dict[Word, Value] = {}
    for word in in_order(*table):
        if word.operation == "header":
            stored = builder.load(builder.gep(words, [I32(word.number)]), align=1)
            known[word] = _intrinsic(builder, "bswap", stored)  # every machine that we know is little-endian
        else:
            emit(builder, word, known, I32)
    memory = builder.alloca(ir.ArrayType(I32, len(table)))
    memory.align = 64
    places = [builder.gep(memory, [I32(0), I32(index)]) for index in range(len(table))]
    for place, word in zip(places, table, strict=True):
        builder.store(known[word], place)
    return places
