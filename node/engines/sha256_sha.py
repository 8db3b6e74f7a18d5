"""A step of the search by the processor's SHA-256 instructions: some streams, each a nonce, interleaved.

`sha256rnds2` does two rounds but its answer is late, so a single stream would leave the unit idle most of the time;
four fill it. The instructions keep a..h in two vectors, `abef` = (f, e, b, a) and `cdgh` = (h, g, d, c), lowest lane
first, and the schedule in fours, W4i..W4i+3. What of the schedule is constant or depends on the header alone is folded
here, with the words of `sha256_words`.

**Only for a processor that has them:** LLVM ends the whole process when it must emit these for one that has not.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llvmlite import ir

from node.engines.sha256_llvm import I32, Value, call
from node.engines.sha256_words import (
    HEADER_WORDS,
    IV,
    K,
    Kind,
    Word,
    add,
    constant,
    constants,
    header_word,
    last_block,
    midstate,
    nonce,
    padded,
    rounds,
    schedule,
    swap,
    σ0,
    σ1,
)

FOUR = ir.VectorType(I32, 4)
Four = tuple[Word, Word, Word, Word]  # of which no stream knows more than another
State = tuple[Value, Value]  # abef, cdgh


class _Vectors(NamedTuple):
    """What makes vectors while one step is emitted."""

    builder: ir.IRBuilder
    known: Mapping[Word, Value]

    def of(self, words: Sequence[Word]) -> Value:
        numbers = [each.number if each.kind is Kind.CONSTANT else 0 for each in words]
        vector = FOUR(numbers)
        for lane, each in enumerate(words):
            if each.kind is not Kind.CONSTANT:
                vector = self.builder.insert_element(vector, self.known[each], I32(lane))
        return vector

    def add(self, x: Value | Four, y: Value | Four) -> Value | Four:
        if isinstance(x, tuple) and isinstance(y, tuple):
            return four(*map(add, x, y))
        return self.builder.add(self.value(x), self.value(y))

    def value(self, x: Value | Four) -> Value:
        return self.of(x) if isinstance(x, tuple) else x

    def shuffle(self, x: Value, y: Value, *lanes: int) -> Value:
        return self.builder.shuffle_vector(x, y, FOUR(lanes))

    def sha(self, instruction: str, *operands: Value) -> Value:
        return call(self.builder, f"llvm.x86.sha256{instruction}", FOUR, *operands)


class Streams:
    """`lanes` nonces at once, by as many streams."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.carried: Sequence[Value] = ()
        header = [header_word(index) for index in range(HEADER_WORDS)]
        self._before = midstate(header)
        block = last_block(header, swap(nonce()))
        w = schedule(block)
        self._two_rounds = rounds(self._before, w, end=2)
        self._block = four(*block[:3], constant(0)), four(*w[4:8]), four(*w[8:12]), four(*w[12:16])
        # W16..W19 but for what W0..W4 add; W20..W23 but for what W18..W21 add
        self._w16 = four(*(add(w[t - 7], σ1(w[t - 2])) for t in range(16, 20)))
        self._w20 = four(*(add(w[t - 7], σ0(w[t - 15]), w[t - 16]) for t in range(20, 24)))
        wanted = (*self._before, *self._two_rounds, *self._block[0], *self._w16, *self._w20)
        self.table = tuple(dict.fromkeys(each for each in wanted if each.kind is Kind.UNIFORM))

    def step(
        self, builder: ir.IRBuilder, table: Sequence[Value], first: Value, top: Value, carried: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        vectors = _Vectors(builder, dict(zip(self.table, table, strict=True)))
        e: list[Value] = []
        ahead = [self._stream(vectors, builder.add(first, I32(lane)), e) for lane in range(self.lanes)]
        while ahead:  # a few instructions of each in turn
            ahead = [stream for stream in ahead if next(stream, self) is not self]
        mask_type = ir.IntType(self.lanes)
        mask = mask_type(0)
        for lane, each in enumerate(e):
            word = call(builder, "llvm.bswap.i32", I32, builder.add(each, I32(IV[7])))
            below = builder.zext(builder.icmp_unsigned("<=", word, top), mask_type)
            mask = builder.or_(mask, builder.shl(below, mask_type(lane)))
        return mask, []

    def _stream(self, vectors: _Vectors, number: Value, e: list[Value]) -> Iterator[None]:
        """Emit one nonce's double hash, `yield` by `yield`, and append e after round 60 of the second."""
        builder = vectors.builder
        stored = call(builder, "llvm.bswap.i32", I32, number)
        w0 = builder.insert_element(vectors.of(self._block[0]), stored, I32(3))
        w16 = builder.add(vectors.sha("msg1", w0, vectors.of(self._block[1])), vectors.of(self._w16))
        w20 = vectors.sha("msg2", vectors.of(self._w20), w16)
        state = _state(vectors, self._two_rounds)
        before = _state(vectors, self._before)
        w: list[Value | Four] = [w0, *self._block[1:], w16, w20]
        for pair in range(1, 32):
            state = _two_rounds(vectors, state, w, pair)
            yield
        abef, cdgh = (builder.add(x, y) for x, y in zip(state, before, strict=True))
        third, fourth = _fours(padded(constants([0] * 8), 256))[2:]
        w = [vectors.shuffle(abef, cdgh, 3, 2, 7, 6), vectors.shuffle(abef, cdgh, 1, 0, 5, 4), third, fourth]
        state = _state(vectors, constants(IV))
        for pair in range(31):
            state = _two_rounds(vectors, state, w, pair)
            yield
        e.append(builder.extract_element(state[0], I32(0)))  # f after round 61


def _two_rounds(vectors: _Vectors, state: State, w: list[Value | Four], pair: int) -> State:
    """Rounds 2*pair and the next; appends to `w`, which holds four words an entry, what they need."""
    index, second_half = divmod(pair, 2)
    if index == len(w):
        w.append(_next_four(vectors, w))
    abef, cdgh = state
    wk = vectors.value(vectors.add(w[index], _fours(constants(K))[index]))
    if second_half:
        wk = vectors.shuffle(wk, wk, 2, 3, 2, 3)
    return vectors.sha("rnds2", cdgh, abef, wk), abef


def _next_four(vectors: _Vectors, w: Sequence[Value | Four]) -> Value:
    """The next four words of the schedule after the last sixteen."""
    w16, w12, w8, w4 = w[-4:]
    if isinstance(w16, tuple) and isinstance(w12, tuple):
        early: Value | Four = four(*(add(x, σ0(y)) for x, y in zip(w16, (*w16[1:], w12[0]), strict=True)))
    else:
        early = vectors.sha("msg1", vectors.value(w16), vectors.value(w12))
    if isinstance(w8, tuple) and isinstance(w4, tuple):
        middle: Value | Four = four(*w8[1:], w4[0])
    else:
        middle = vectors.shuffle(vectors.value(w8), vectors.value(w4), 1, 2, 3, 4)
    return vectors.sha("msg2", vectors.value(vectors.add(early, middle)), vectors.value(w4))


def _state(vectors: _Vectors, words: Sequence[Word]) -> State:
    a, b, c, d, e, f, g, h = words
    return vectors.of((f, e, b, a)), vectors.of((h, g, d, c))


def _fours(words: Sequence[Word]) -> list[Four]:
    return [four(*words[index : index + 4]) for index in range(0, len(words), 4)]


def four(*words: Word) -> Four:
    a, b, c, d = words
    return a, b, c, d
