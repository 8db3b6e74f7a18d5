"""SHA-256 (FIPS 180-4, sections 4 to 6) run on symbols: what comes out is the list of operations of a kernel.

The functions carry the standard's names. They work on `Word`s of 32 bits, of three kinds: constants, which are folded
away; words that one header determines (uniform), computed once a call; and words that differ from nonce to nonce
(lane), computed for every nonce. An operation belongs to the highest kind among its operands, so writing down the
double hash of an 80-byte header in full leaves for the nonces only what truly depends on them: the first 64 bytes,
three rounds after them, and all schedule words without the nonce have gone.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

# FIPS 180-4, 4.2.2: the fractional parts of the cube roots of the first 64 primes
K = struct.unpack(
    ">64I",
    bytes.fromhex(
        "428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5d807aa9812835b01243185be550c7dc3"
        "72be5d7480deb1fe9bdc06a7c19bf174e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da"
        "983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca63511429296727b70a852e1b21384d2c6dfc53380d13"
        "650a7354766a0abb81c2c92e92722c85a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070"
        "19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3748f82ee78a5636f84c878148cc70208"
        "90befffaa4506cebbef9a3f7c67178f2"
    ),
)
# FIPS 180-4, 5.3.3: those of the square roots of the first eight
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
MASK = 2**32 - 1
HEADER_WORDS = 19  # a header without its nonce


class Kind(IntEnum):
    """What a word depends on; an operation's result depends on the most that its operands do."""

    CONSTANT = 0
    UNIFORM = 1
    LANE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A 32-bit word and how it comes about.

    `number` is a constant's value, the distance of `rotr` and `shr`, and which word of the header a `header` is.
    `depth` is the longest chain of per-lane operations up to and including this one.
    """

    kind: Kind
    operation: str
    operands: tuple["Word", ...] = ()
    number: int = 0
    depth: int = 0


def _swapped(x: int) -> int:
    return int.from_bytes(x.to_bytes(4, "little"), "big")


def apply(operation: str, operands: Sequence[int], number: int) -> int:
    """An operation on plain numbers: its meaning, for folding constants and for whoever checks an emitted kernel."""
    match operation, operands:
        case "add", (x, y):
            return (x + y) & MASK
        case "rotr", (x,):
            return (x >> number | x << (32 - number)) & MASK
        case "shr", (x,):
            return x >> number
        case "parity", (x, y, z):
            return x ^ y ^ z
        case "ch", (x, y, z):
            return (x & y) ^ (~x & z & MASK)
        case "maj", (x, y, z):
            return (x & y) ^ (x & z) ^ (y & z)
        case "swap", (x,):
            return _swapped(x)
    raise ValueError(f"there is no operation {operation} on {len(operands)} words")


def constant(number: int) -> Word:
    return Word(Kind.CONSTANT, "constant", number=number & MASK)


def header_word(index: int) -> Word:
    """Word `index` of the header, 0..18, big-endian as the standard reads it."""
    return Word(Kind.UNIFORM, "header", number=index)


def nonce() -> Word:
    """A lane's nonce as a number; the header holds it little-endian."""
    return Word(Kind.LANE, "nonce")


def _operation(name: str, *operands: Word, number: int = 0) -> Word:
    kind = max(each.kind for each in operands)
    if kind is Kind.CONSTANT:
        return constant(apply(name, [each.number for each in operands], number))
    depth = max(each.depth for each in operands) + (kind is Kind.LANE)
    return Word(kind, name, operands, number, depth)


def add(*terms: Word) -> Word:
    """The sum modulo 2^32, grouped so that constants fold, one uniform term is left and what is late is added last."""
    lanes = sorted((each for each in terms if each.kind is Kind.LANE), key=lambda each: each.depth)
    once = [each for each in terms if each.kind is Kind.UNIFORM]
    folded = sum(each.number for each in terms if each.kind is Kind.CONSTANT) & MASK
    if folded or not (once or lanes):
        once.append(constant(folded))
    while len(once) > 1:
        once[:2] = [_operation("add", *once[:2])]
    if lanes and once:
        lanes[0] = _operation("add", lanes[0], *once)
    while len(lanes) > 1:
        lanes.sort(key=lambda each: each.depth)
        lanes[:2] = [_operation("add", *lanes[:2])]
    return (lanes or once)[0]


def rotr(n: int, x: Word) -> Word:
    return _operation("rotr", x, number=n)


def shr(n: int, x: Word) -> Word:
    return _operation("shr", x, number=n)


def parity(x: Word, y: Word, z: Word) -> Word:
    return _operation("parity", x, y, z)


def ch(x: Word, y: Word, z: Word) -> Word:
    return _operation("ch", x, y, z)


def maj(x: Word, y: Word, z: Word) -> Word:
    return _operation("maj", x, y, z)


def swap(x: Word) -> Word:
    """The word with its bytes in the other order."""
    return _operation("swap", x)


def Σ0(x: Word) -> Word:
    return parity(rotr(2, x), rotr(13, x), rotr(22, x))


def Σ1(x: Word) -> Word:
    return parity(rotr(6, x), rotr(11, x), rotr(25, x))


def σ0(x: Word) -> Word:
    return parity(rotr(7, x), rotr(18, x), shr(3, x))


def σ1(x: Word) -> Word:
    return parity(rotr(17, x), rotr(19, x), shr(10, x))


def schedule(block: Sequence[Word]) -> list[Word]:
    """6.2.2, step 1: W0..W63 of a block of sixteen words."""
    w = list(block)
    for t in range(16, 64):
        w.append(add(σ1(w[t - 2]), w[t - 7], σ0(w[t - 15]), w[t - 16]))
    return w


def rounds(state: Sequence[Word], w: Sequence[Word], first: int = 0, end: int = 64) -> tuple[Word, ...]:
    """6.2.2, step 3, for t from `first` to before `end`: a..h afterwards."""
    a, b, c, d, e, f, g, h = state
    for t in range(first, end):
        t1 = add(h, Σ1(e), ch(e, f, g), constant(K[t]), w[t])
        a, b, c, d, e, f, g, h = add(Σ0(a), maj(a, b, c), t1), a, b, c, add(d, t1), e, f, g
    return a, b, c, d, e, f, g, h


def compress(state: Sequence[Word], block: Sequence[Word]) -> tuple[Word, ...]:
    """6.2.2: the hash value after one more block."""
    after = rounds(state, schedule(block))
    return tuple(add(x, y) for x, y in zip(state, after, strict=True))


def padded(message: Sequence[Word], bits: int) -> list[Word]:
    """5.1.1: the last block of a message of `bits` bits, given the words of it that are in this block."""
    zeros = 13 - len(message)
    return [*message, constant(0x80000000), *[constant(0)] * (zeros + 1), constant(bits)]


def midstate(header: Sequence[Word]) -> tuple[Word, ...]:
    """The hash value after the first 64 bytes."""
    return compress(constants(IV), header[:16])


def last_block(header: Sequence[Word], final: Word) -> list[Word]:
    """The second block of an 80-byte header, whose word 19, the nonce as stored, is `final`."""
    return padded([*header[16:HEADER_WORDS], final], 640)


def first_hash(header: Sequence[Word], number: Word) -> tuple[Word, ...]:
    """The digest of the header with this nonce."""
    return compress(midstate(header), last_block(header, swap(number)))


def second_hash_top(digest: Sequence[Word]) -> Word:
    """The most significant 32 bits of the hash as a number: the last word of the digest's digest, bytes swapped.

    H7 = IV7 + h after round 63 = IV7 + e after round 60: this hash stops there.
    """
    e = rounds(constants(IV), schedule(padded(digest, 256)), end=61)[4]
    return swap(add(e, constant(IV[7])))


def constants(numbers: Sequence[int]) -> list[Word]:
    return [constant(each) for each in numbers]


def in_order(*results: Word) -> Iterator[Word]:
    """Everything but constants that `results` need, each once and after its operands, as late as possible."""
    done: set[Word] = set()
    ahead: list[tuple[Word, bool]] = [(each, False) for each in reversed(results)]
    while ahead:
        word, operands_done = ahead.pop()
        if word in done or word.kind is Kind.CONSTANT:
            continue
        if operands_done:
            done.add(word)
            yield word
        else:
            ahead.append((word, True))
            ahead.extend((each, False) for each in reversed(word.operands))


def evaluate(results: Sequence[Word], header: Sequence[int], number: int = 0) -> list[int]:
    """What `results` are for the words of a header and a nonce, computed operation by operation: slow and plain."""
    known: dict[Word, int] = {}

    def value(word: Word) -> int:
        return word.number if word.kind is Kind.CONSTANT else known[word]

    for word in in_order(*results):
        match word.operation:
            case "header":
                known[word] = header[word.number]
            case "nonce":
                known[word] = number
            case _:
                known[word] = apply(word.operation, [value(each) for each in word.operands], word.number)
    return [value(each) for each in results]


@dataclass(frozen=True, slots=True)
class Program:
    """What the nonces cost: two lists of lane operations that know nothing of each other, and a table for the first.

    `first` makes `digest` of a nonce, `second` makes `top` of the words `carried`, an earlier digest. Apart, so that a
    kernel can do both at once, for different nonces: one list alone mostly waits for its own last result (40 against 65
    million hashes a second on a processor whose vector operations take two cycles).
    """

    table: tuple[Word, ...]
    first: tuple[Word, ...]
    digest: tuple[Word, ...]
    carried: tuple[Word, ...]
    second: tuple[Word, ...]
    top: Word

    def counts(self) -> Mapping[str, int]:
        """How often each operation runs for a nonce."""
        return Counter(word.operation for word in (*self.first, *self.second))


def header_program() -> Program:
    """The double hash of any header."""
    digest = first_hash([header_word(index) for index in range(HEADER_WORDS)], nonce())
    first = tuple(each for each in in_order(*digest) if each.kind is Kind.LANE)
    table = dict.fromkeys(each for word in first for each in word.operands if each.kind is Kind.UNIFORM)
    carried = tuple(Word(Kind.LANE, "carried", number=index) for index in range(8))
    top = second_hash_top(carried)
    return Program(tuple(table), first, digest, carried, tuple(in_order(top)), top)
