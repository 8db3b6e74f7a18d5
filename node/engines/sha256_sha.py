"""A step of the search by the processor's SHA-256 instructions: some streams, each a nonce, interleaved.

`sha256rnds2` does two rounds but its answer is late, so a single stream would leave the unit idle most of the time; four
fill it. The instructions keep a..h in two vectors, `abef` = (f, e, b, a) and `cdgh` = (h, g, d, c), lowest lane first, and
the schedule in fours, `m[i]` = W4i..W4i+3. What of the schedule is constant or depends on the header alone is folded
here, by hand, with the words of `sha256_words`.

**Only for a processor that has them:** LLVM ends the whole process when it must emit these for one that has not.
"""

from collections.abc import Iterator, Sequence

from llvmlite import ir  # type: ignore[import-untyped]

from node.engines.sha256_llvm import I32, Value, call
from node.engines.sha256_words import (
    HEADER_WORDS,
    IV,
    Kind,
    K,
    Word,
    add,
    constant,
    constants,
    header_word,
    last_block,
    midstate,
    padded,
    rounds,
    schedule,
    σ0,
    σ1,
)

FOUR = ir.VectorType(I32, 4)


class Streams:
    """`streams` nonces at once. The table: the state after two rounds of the second block, the midstate, and the
    words of the schedule that know nothing of the nonce.
    """

    def __init__(self, streams: int) -> None:
        self.lanes = streams
        header = [header_word(index) for index in range(HEADER_WORDS)]
        block = last_block(header, Word(Kind.LANE, "nonce"))
        before, w = midstate(header), schedule(block)
        self._two_rounds = _pairs(rounds(before, w, end=2))
        self._before = _pairs(before)
        self._first_four = [*block[:3], constant(0)]
        # W16..W19 but for what the first four words add, and W20..W23 but for what W18..W21 add
        self._w16 = [add(w[9], σ1(w[14])), add(w[10], σ1(w[15])), add(w[11], σ1(w[16])), add(w[12], σ1(w[17]))]
        self._w20 = [add(w[t - 7], σ0(w[t - 15]), w[t - 16]) for t in range(20, 24)]
        uniform = (*self._two_rounds[0], *self._two_rounds[1], *self._before[0], *self._before[1])
        self.table: Sequence[Word] = tuple(
            dict.fromkeys(
                each
                for each in (*uniform, *self._first_four, *self._w16, *self._w20)
                if each.kind is not Kind.CONSTANT
            )
        )
