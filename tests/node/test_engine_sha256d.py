"""Double SHA-256 nonce search against facts of the chain and against the plainest implementation there is."""

import csv
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engines.sha256d import NONCES, Searcher, scan

GENESIS = bytes.fromhex(
    "01000000"
    + "00" * 32
    + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    + "29ab5f49"
    + "ffff001d"
)
GENESIS_NONCE = 2_083_236_893
GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
DIFFICULTY_ONE = 0xFFFF << 208
REAL_HEADERS = Path(__file__).parents[3] / "shared" / "data" / "bitcoin" / "headers.csv"


def never(covered: int) -> bool:
    return False


def number(header: bytes, nonce: int) -> int:
    """The hash as a number, naively: the whole header hashed twice, the digest read little-endian."""
    return int.from_bytes(sha256(sha256(header + nonce.to_bytes(4, "little")).digest()).digest(), "little")


def naive(header: bytes, target: int, start: int, count: int) -> tuple[int, ...]:
    return tuple(nonce for nonce in range(start, start + count) if number(header, nonce) <= target)


def test_genesis_window_around_its_nonce_finds_it_and_covers_up_to_it():
    start = GENESIS_NONCE - 20_000
    assert scan(GENESIS, DIFFICULTY_ONE, start, 40_000, False) == (20_001, (GENESIS_NONCE,))
    assert f"{number(GENESIS, GENESIS_NONCE):064x}" == GENESIS_HASH


def test_genesis_target_one_below_its_hash_finds_nothing_and_its_very_hash_finds_it():
    exact = int(GENESIS_HASH, 16)
    assert scan(GENESIS, exact, GENESIS_NONCE, 1, False).nonces == (GENESIS_NONCE,)
    assert scan(GENESIS, exact - 1, GENESIS_NONCE, 1, False) == (1, ())


def target_of(bits: str) -> int:
    exponent, mantissa = int(bits[:2], 16), int(bits[2:], 16)
    return mantissa << (8 * (exponent - 3))


@pytest.mark.skipif(not REAL_HEADERS.exists(), reason="no real headers beside this checkout (../shared/data/bitcoin)")
def test_real_headers_are_each_found_at_their_nonce_and_nowhere_near():
    with REAL_HEADERS.open() as file:
        for row in csv.DictReader(file):
            header, nonce = bytes.fromhex(row["header_hex"])[:76], int(row["nonce"])
            start = max(0, nonce - 50)
            found = scan(header, target_of(row["bits"]), start, min(100, NONCES - start), True)
            assert found.nonces == (nonce,), row["height"]
            assert f"{number(header, nonce):064x}" == row["hash"]


@given(
    header=st.binary(min_size=76, max_size=76),
    bits=st.integers(244, 256),
    start=st.one_of(st.integers(0, NONCES - 300), st.just(NONCES - 300)),
    count=st.integers(1, 300),
)
def test_any_range_agrees_with_the_naive_search(header: bytes, bits: int, start: int, count: int):
    target = 2**bits - 1
    expected = naive(header, target, start, count)
    assert scan(header, target, start, count, True) == (count, expected)
    first = scan(header, target, start, count, False)
    assert first == ((expected[0] - start + 1, expected[:1]) if expected else (count, ()))


def test_last_nonce_of_all_is_searched_and_the_one_after_refused():
    searcher = Searcher()
    assert searcher.search(GENESIS, 2**256 - 1, NONCES - 1, 1, True, never) == (1, (NONCES - 1,))
    with pytest.raises(ValueError, match="2 nonces from 4294967295"):
        searcher.search(GENESIS, 0, NONCES - 1, 2, True, never)


def test_empty_range_and_whole_header_are_refused():
    with pytest.raises(ValueError, match="0 nonces"):
        Searcher().search(GENESIS, 0, 5, 0, False, never)
    with pytest.raises(ValueError, match="not 80"):
        Searcher().search(GENESIS + bytes(4), 0, 0, 1, False, never)


def test_find_all_over_many_slices_returns_what_one_scan_returns():
    easy, count = 2**248, 5_000
    slices: list[int] = []
    searcher = Searcher(clock=lambda: 0.0)

    def note(covered: int) -> bool:
        slices.append(covered)
        return False

    assert searcher.search(GENESIS, easy, 7, count, True, note) == scan(GENESIS, easy, 7, count, True)
    assert len(slices) > 3
    assert slices == sorted(set(slices))


def test_stop_returns_exactly_what_was_covered_and_the_hits_in_it():
    easy = 2**250
    searched = Searcher().search(GENESIS, easy, 0, 1_000_000, True, lambda covered: covered >= 2_000)
    assert 2_000 <= searched.covered < 100_000
    assert searched.nonces == naive(GENESIS, easy, 0, searched.covered)


class Clock:
    """Time passes only by sleeping; hashing costs none, so whatever passes is the brake's doing."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_brake_holds_the_rate_in_one_long_search():
    clock = Clock()
    Searcher(10_000.0, clock=clock, sleep=clock.sleep).search(GENESIS, 0, 0, 20_000, False, never)
    assert clock.now - 100.0 == pytest.approx(2.0, abs=0.01)


def test_brake_holds_the_rate_over_many_small_searches():
    clock = Clock()
    searcher = Searcher(10_000.0, clock=clock, sleep=clock.sleep)
    for nonce in range(5_000):
        searcher.search(GENESIS, 0, nonce, 1, False, never)
    assert clock.now - 100.0 == pytest.approx(0.5, abs=0.01)


def test_brake_of_one_hash_a_second_still_honours_a_stop_within_ten_milliseconds():
    clock = Clock()
    searcher = Searcher(1.0, clock=clock, sleep=clock.sleep)
    searched = searcher.search(GENESIS, 0, 0, 100, False, lambda covered: clock.now >= 100.5)
    assert searched.covered == 1
    assert clock.now <= 100.51


def test_brake_gives_no_credit_for_time_spent_idle():
    clock = Clock()
    searcher = Searcher(1_000.0, clock=clock, sleep=clock.sleep)
    searcher.search(GENESIS, 0, 0, 100, False, never)
    clock.now = idle_until = 500.0
    searcher.search(GENESIS, 0, 0, 1_000, False, never)
    assert clock.now - idle_until == pytest.approx(1.0, abs=0.01)


def test_calibration_tells_the_brake_where_it_is_lower_than_the_machine():
    assert Searcher(5_000.0).calibrate(seconds=0.02) == 5_000.0
    assert Searcher().calibrate(seconds=0.02) > 5_000.0
