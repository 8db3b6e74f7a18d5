"""SHA-256 kernels as LLVM IR: a loop over a range of nonces, and steps of it for vectors and for SHA instructions.

A kernel is one C function, `search`:

    int64 search(const uint8 *header, int64 start, int64 count, uint32 top,
                 uint32 *found, int64 room, int64 *hits)

It hashes nonces from `start` in steps of `lanes` and writes those whose hash has its most significant word <= `top` to
`found`, rising, until `count` are done or a further step might not fit into `room`, which is at least `lanes`. It
returns how many nonces it has covered from `start` without a gap, at most `count`, and sets `*hits`. It touches nothing
else and never blocks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from llvmlite import ir

from node.engines.sha256_words import Kind, Word, header_program, in_order

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
SEARCH = ir.FunctionType(I64, [I8.as_pointer(), I64, I64, I32, I32.as_pointer(), I64, I64.as_pointer()])

Value = Any  # of llvmlite, which has no types


class Step(Protocol):
    """What hashes `lanes` nonces, as instructions.

    `table` are the words of the header that it wants. A step that carries values over from one to the next answers for
    the nonces of the step before: so it can do the first hash of some and the second hash of others at once.
    """

    @property
    def lanes(self) -> int: ...

    @property
    def table(self) -> Sequence[Word]: ...

    @property
    def carried(self) -> Sequence[Value]:
        """Their types."""

    def step(
        self, builder: ir.IRBuilder, table: Sequence[Value], first: Value, top: Value, carried: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Emit it for nonces from `first`.

        Returns a mask, an integer of `lanes` bits with the first nonce's lowest, and what to carry.
        """


class Lanes:
    """Operations on vectors of 32-bit words, one nonce a lane: whatever width LLVM has registers for, or splits into.

    `ternary`: the processor has AVX-512 and computes any function of three operands in one instruction.
    """

    def __init__(self, lanes: int, *, ternary: bool = False) -> None:
        self.lanes = lanes
        self._program = header_program()
        self.table = self._program.table
        self._vector = ir.VectorType(I32, lanes)
        self.carried = (self._vector,) * len(self._program.carried)
        self._maj = self._ternary_maj if ternary else _maj

    def step(
        self, builder: ir.IRBuilder, table: Sequence[Value], first: Value, top: Value, carried: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        program = self._program
        known = {word: self._splat(builder, value) for word, value in zip(self.table, table, strict=True)}
        known.update(zip(program.carried, carried, strict=True))
        for word in zipped(program.first, program.second):
            if word.operation == "nonce":
                known[word] = builder.add(self._splat(builder, first), self._vector(list(range(self.lanes))))
            elif word.operation != "carried":
                known[word] = emitted(builder, word, known, self._constant, self._maj)
        below = builder.icmp_unsigned("<=", known[program.top], self._splat(builder, top))
        return builder.bitcast(below, ir.IntType(self.lanes)), [known[each] for each in program.digest]

    def _constant(self, number: int) -> Value:
        return self._vector([number] * self.lanes)

    def _splat(self, builder: ir.IRBuilder, value: Value) -> Value:
        undefined = ir.Constant(self._vector, ir.Undefined)
        one = builder.insert_element(undefined, value, I32(0))
        return builder.shuffle_vector(one, undefined, self._constant(0))

    def _ternary_maj(self, builder: ir.IRBuilder, x: Value, y: Value, z: Value) -> Value:
        name = f"llvm.x86.avx512.pternlog.d.{32 * self.lanes}"
        return call(builder, name, self._vector, x, y, z, I32(0b11101000))  # bit i: the majority of i's three bits


def zipped(*lists: Sequence[Word]) -> Iterator[Word]:
    """All of them in one order that goes evenly through each."""
    longest = max(map(len, lists))
    for index in range(longest):
        for each in lists:
            yield from each[index * len(each) // longest : (index + 1) * len(each) // longest]


def emitted(
    builder: ir.IRBuilder,
    word: Word,
    known: Mapping[Word, Value],
    constant: Callable[[int], Value],
    maj: Callable[[ir.IRBuilder, Value, Value, Value], Value],
) -> Value:
    """Emit one operation on what is `known`, words or vectors alike."""
    values = [constant(each.number) if each.kind is Kind.CONSTANT else known[each] for each in word.operands]
    match word.operation, values:
        case "add", (x, y):
            return builder.add(x, y)
        case "rotr", (x,):
            return _intrinsic(builder, "fshr", x, x, constant(word.number))
        case "shr", (x,):
            return builder.lshr(x, constant(word.number))
        case "parity", (x, y, z):
            return builder.xor(builder.xor(x, y), z)
        case "ch", (x, y, z):
            return builder.xor(z, builder.and_(x, builder.xor(y, z)))
        case "maj", (x, y, z):
            return maj(builder, x, y, z)
        case "swap", (x,):
            return _intrinsic(builder, "bswap", x)
    raise ValueError(f"{word.operation} is no operation of a kernel")


def _maj(builder: ir.IRBuilder, x: Value, y: Value, z: Value) -> Value:
    """Here y ^ z is the x ^ y of the round before, which LLVM sees and does not compute again."""
    return builder.xor(y, builder.and_(builder.xor(x, y), builder.xor(y, z)))


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


def module(kernel: Step) -> ir.Module:
    """A module with one function, `search`: see above."""
    lanes, behind = kernel.lanes, kernel.lanes if kernel.carried else 0
    whole = ir.Module("sha256")
    search = ir.Function(whole, SEARCH, "search")
    header, start, count, top, found, room, hits = search.args
    found.add_attribute("noalias")
    names = ("entry", "loop", "pause", "note", "on", "end")
    entry, loop, pause, note, on, end = (search.append_basic_block(name) for name in names)
    builder = ir.IRBuilder(entry)
    words = _once(builder, header, kernel.table)
    enough = builder.sub(room, I64(lanes))
    builder.branch(loop)

    # All of a step stands in one block that goes back to itself: else LLVM moves what is carried over out of it, and
    # two hashes that are meant to run side by side run one after the other.
    builder.position_at_end(loop)
    done, held = builder.phi(I64), builder.phi(I64)
    carried = [builder.phi(each) for each in kernel.carried]
    first = builder.trunc(builder.add(start, done), I32)
    ahead = builder.add(first, I32(behind))
    below, carried_on = kernel.step(builder, [builder.load(each) for each in words], ahead, top, carried)
    hit = builder.and_(builder.zext(below, I64), _inside(builder, done, count, lanes))
    done_after = builder.add(done, I64(lanes))
    more = builder.icmp_signed("<", done_after, count)
    builder.cbranch(builder.and_(more, builder.icmp_unsigned("==", hit, I64(0))), loop, pause)

    builder.position_at_end(pause)
    builder.cbranch(builder.icmp_unsigned("!=", hit, I64(0)), note, on)

    builder.position_at_end(note)
    rest, place = builder.phi(I64), builder.phi(I64)
    lane = builder.trunc(call(builder, "llvm.cttz.i64", I64, rest, ir.IntType(1)(1)), I32)
    builder.store(builder.add(first, lane), builder.gep(found, [place]))
    rest_after, place_after = builder.and_(rest, builder.sub(rest, I64(1))), builder.add(place, I64(1))
    builder.cbranch(builder.icmp_unsigned("!=", rest_after, I64(0)), note, on)

    builder.position_at_end(on)
    held_after = builder.phi(I64)
    builder.cbranch(builder.and_(more, builder.icmp_signed("<=", held_after, enough)), loop, end)

    builder.position_at_end(end)
    builder.store(held_after, hits)
    builder.ret(builder.select(more, done_after, count))

    for phi, comes in (
        (done, {entry: I64(-behind), loop: done_after, on: done_after}),
        (held, {entry: I64(0), loop: held, on: held_after}),
        (rest, {pause: hit, note: rest_after}),
        (place, {pause: held, note: place_after}),
        (held_after, {pause: held, note: place_after}),
        *((phi, {entry: phi.type(None), loop: to, on: to}) for phi, to in zip(carried, carried_on, strict=True)),
    ):
        for block, value in comes.items():
            phi.add_incoming(value, block)
    return whole


def _inside(builder: ir.IRBuilder, done: Value, count: Value, lanes: int) -> Value:
    """A mask of the lanes whose nonces, of which the first is `done` after the start, are in the range at all."""
    left = builder.sub(count, done)
    part = builder.not_(builder.shl(I64(-1), builder.and_(left, I64(63))))
    inside = builder.select(builder.icmp_signed("<", left, I64(lanes)), part, I64(-1))
    return builder.and_(inside, builder.not_(builder.ashr(done, I64(63))))


def _once(builder: ir.IRBuilder, header: Value, table: Sequence[Word]) -> list[Value]:
    """Compute the table's words from the header and keep them in memory, where vectors broadcast them from."""
    words = builder.bitcast(header, I32.as_pointer())
    known: dict[Word, Value] = {}
    for word in in_order(*table):
        if word.operation == "header":
            stored = builder.load(builder.gep(words, [I32(word.number)]), align=1)
            known[word] = _intrinsic(builder, "bswap", stored)  # every machine that we know is little-endian
        else:
            known[word] = emitted(builder, word, known, I32, _maj)
    memory = builder.alloca(ir.ArrayType(I32, len(table)))
    memory.align = 64
    places = [builder.gep(memory, [I32(0), I32(index)]) for index in range(len(table))]
    for place, word in zip(places, table, strict=True):
        builder.store(known[word], place)
    return places
