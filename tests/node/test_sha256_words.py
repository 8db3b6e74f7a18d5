"""The generator of operations, piece by piece, against SHA-256 as the standard describes it, on plain numbers."""

import hashlib
import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from node.engines import sha256_words as words
from node.engines.sha256_llvm import zipped
from node.engines.sha256_words import Kind, Word, constant, constants, evaluate, header_program, header_word, nonce

NUMBERS = st.integers(0, 2**32 - 1)
HEADERS = st.lists(NUMBERS, min_size=19, max_size=19)


def rotated(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) % 2**32


def plain_schedule(block: list[int]) -> list[int]:
    w = list(block)
    for t in range(16, 64):
        s0 = rotated(w[t - 15], 7) ^ rotated(w[t - 15], 18) ^ w[t - 15] >> 3
        s1 = rotated(w[t - 2], 17) ^ rotated(w[t - 2], 19) ^ w[t - 2] >> 10
        w.append((w[t - 16] + s0 + w[t - 7] + s1) % 2**32)
    return w


def plain_rounds(state: list[int], w: list[int], first: int, end: int) -> list[int]:
    a, b, c, d, e, f, g, h = state
    for t in range(first, end):
        s1 = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
        t1 = h + s1 + ((e & f) ^ (~e & g)) + words.K[t] + w[t]
        s0 = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
        t2 = s0 + ((a & b) ^ (a & c) ^ (b & c))
        a, b, c, d, e, f, g, h = (t1 + t2) % 2**32, a, b, c, (d + t1) % 2**32, e, f, g
    return [a, b, c, d, e, f, g, h]


def uniform(count: int) -> list[Word]:
    return [header_word(index) for index in range(count)]


def test_constants_are_the_fractions_of_the_roots_of_the_first_primes():
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    assert len(primes) == 64
    assert list(words.IV) == [math.isqrt(p << 64) % 2**32 for p in primes[:8]]
    assert list(words.K) == [_cube_root(p << 96) % 2**32 for p in primes]


def _cube_root(n: int) -> int:
    low, high = 0, 1 << 36
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= n else (low, middle)
    return low


@given(x=NUMBERS, y=NUMBERS, z=NUMBERS)
def test_choice_majority_and_parity_decide_bit_by_bit(x: int, y: int, z: int):
    for name, of in (
        ("ch", lambda a, b, c: b if a else c),
        ("maj", lambda a, b, c: int(a + b + c > 1)),
        ("parity", lambda a, b, c: (a + b + c) % 2),
    ):
        bits = [of(x >> i & 1, y >> i & 1, z >> i & 1) for i in range(32)]
        assert words.apply(name, [x, y, z], 0) == sum(bit << i for i, bit in enumerate(bits))


@given(x=NUMBERS, n=st.integers(1, 31))
def test_rotation_moves_each_bit_down_and_round(x: int, n: int):
    assert words.apply("rotr", [x], n) == int((f"{x:032b}" * 2)[32 - n : 64 - n], 2)


@given(x=NUMBERS)
def test_sigmas_rotate_and_shift_by_the_standards_distances(x: int):
    def r(n: int) -> int:
        return rotated(x, n)

    found = evaluate([each(header_word(0)) for each in (words.Σ0, words.Σ1, words.σ0, words.σ1)], [x])
    assert found == [
        r(2) ^ r(13) ^ r(22),
        r(6) ^ r(11) ^ r(25),
        r(7) ^ r(18) ^ x >> 3,
        r(17) ^ r(19) ^ x >> 10,
    ]


@given(block=st.lists(NUMBERS, min_size=16, max_size=16))
def test_schedule_of_any_block_is_the_standards(block: list[int]):
    assert evaluate(words.schedule(uniform(16)), block) == plain_schedule(block)


@given(state=st.lists(NUMBERS, min_size=8, max_size=8), first=st.integers(0, 62), many=st.integers(1, 5))
def test_some_rounds_from_anywhere_are_the_standards(state: list[int], first: int, many: int):
    end, w = min(64, first + many), plain_schedule(list(range(16)))
    found = evaluate(words.rounds(uniform(8), constants(w), first, end), state)
    assert found == plain_rounds(state, w, first, end)


@given(terms=st.lists(st.tuples(st.sampled_from(["constant", "header", "nonce"]), NUMBERS), min_size=1, max_size=7))
def test_sum_however_grouped_is_the_sum_and_has_one_term_that_is_no_lane(terms: list[tuple[str, int]]):
    header = [number for _, number in terms]
    made = [
        {"constant": constant(number), "header": header_word(index), "nonce": nonce()}[kind]
        for index, (kind, number) in enumerate(terms)
    ]
    (found,) = evaluate([words.add(*made)], header, 77)
    assert found == sum(77 if kind == "nonce" else number for kind, number in terms) % 2**32
    added = [each for each in words.in_order(words.add(*made)) if each.operation == "add" and each.kind is Kind.LANE]
    assert sum(operand.kind is not Kind.LANE for each in added for operand in each.operands) <= 1


@given(message=st.binary(max_size=55))
def test_padded_block_hashes_as_hashlib_does(message: bytes):
    whole = message[: len(message) // 4 * 4]
    block = words.padded(constants(struct.unpack(f">{len(whole) // 4}I", whole)), 8 * len(whole))
    digest = [each.number for each in words.compress(constants(words.IV), block)]
    assert struct.pack(">8I", *digest) == hashlib.sha256(whole).digest()


def test_words_of_constants_alone_are_folded_away():
    assert {each.kind for each in words.compress(constants(words.IV), constants(range(16)))} == {Kind.CONSTANT}


@given(header=HEADERS, number=NUMBERS)
def test_both_hashes_of_a_header_are_hashlibs(header: list[int], number: int):
    packed = struct.pack(">19I", *header) + number.to_bytes(4, "little")
    digest = evaluate(words.first_hash(uniform(19), nonce()), header, number)
    assert struct.pack(">8I", *digest) == hashlib.sha256(packed).digest()
    (top,) = evaluate([words.second_hash_top(uniform(8))], digest)
    whole = hashlib.sha256(hashlib.sha256(packed).digest()).digest()
    assert top == int.from_bytes(whole[28:], "little")


def test_program_leaves_the_lanes_only_what_depends_on_the_nonce():
    program = header_program()
    assert sum(program.counts().values()) < 2_900, "128 full rounds and their schedules would be 3,900"
    assert len(program.table) == 26
    assert {each.kind for each in (*program.first, *program.second)} == {Kind.LANE}


def test_program_has_each_operation_once_and_after_its_operands():
    program = header_program()
    known = {*program.table, *program.carried}
    for word in zipped(program.first, program.second):
        assert word not in known or word in program.carried
        assert all(each in known for each in word.operands if each.kind is not Kind.CONSTANT)
        known.add(word)
    assert {*program.digest, program.top} <= known
