"""What is malformed never leaves the house, and is told in a sentence."""

import pytest

from edgeward import HashJob, InvalidJob
from edgeward.submission import ITEMS_PER_SUBMISSION, SubmitOptions, submissions

GENESIS = (
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)


def test_header_of_80_bytes_loses_its_nonce_and_gives_its_target() -> None:
    job = HashJob(GENESIS)
    assert job.header.hex() == GENESIS[:152]
    assert job.target.hex() == "00000000ffff" + "00" * 26
    assert (job.nonce_start, job.nonce_count, job.find) == (0, 2**32, "first")


def test_header_of_76_bytes_is_the_same_job() -> None:
    assert HashJob(bytes.fromhex(GENESIS)[:76]) == HashJob(GENESIS)


def test_count_left_out_is_all_that_remains() -> None:
    assert HashJob(GENESIS, nonce_start=2**32 - 5).nonce_count == 5


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"bits": "1f00ffff"}, "0000ffff" + "00" * 28),
        ({"bits": 0x03000001}, "00" * 31 + "01"),
        ({"bits": "0x02008000"}, "00" * 31 + "80"),
        ({"target": "ff"}, "00" * 31 + "ff"),
        ({"target": "0x" + "ff" * 32}, "ff" * 32),
        ({"target": 1}, "00" * 31 + "01"),
    ],
)
def test_target_in_any_form(given: dict[str, str | int], target: str) -> None:
    assert HashJob(GENESIS, **given).target.hex() == target


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"header": "zz"}, "not hex"),
        ({"header": "00" * 79}, "has 79 bytes: a block header has 80"),
        ({"header": "00" * 76}, "header's own bits .0x00000000. stands for a target of zero"),
        ({"nonce_start": 2**32}, "nonce_start is 4294967296"),
        ({"nonce_start": -1}, "from 0 to 4294967295"),
        ({"nonce_start": 1.5}, "whole number"),
        ({"nonce_count": 0}, "at least 1 nonce"),
        ({"nonce_start": 10, "nonce_count": 2**32}, "past 2.32: at most 4294967286 remain"),
        ({"target": "0"}, "target is zero"),
        ({"target": 2**256}, "out of range"),
        ({"target": "f" * 65}, "up to 64 hex digits"),
        ({"target": "-1"}, "up to 64 hex digits"),
        ({"bits": "1d800000"}, "stands for a target of zero"),
        ({"bits": "1dffffff"}, "negative"),
        ({"bits": "ff00ffff"}, "past 2.256"),
        ({"bits": "1d00ffff", "target": "1"}, "Both target and bits"),
        ({"find": "some"}, "'first' or 'all'"),
    ],
)
def test_malformed_job_is_told_in_a_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidJob, match=sentence):
        HashJob(**{"header": GENESIS, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"priority": 101}, "-100 to 100"),
        ({"replicas": 0}, "at least 1 node"),
        ({"deadline_s": 0}, "no time"),
        ({"deadline_s": -1}, "0 or more"),
        ({"objective_ms": float("nan")}, "0 or more"),
        ({"budget_usd": "1"}, "0 or more"),
        ({"keep_in": "Paris||Nice"}, "joined by"),
    ],
)
def test_malformed_option_is_told_in_a_sentence(options: SubmitOptions, sentence: str) -> None:
    with pytest.raises(InvalidJob, match=sentence):
        submissions([HashJob(GENESIS)], options)


def test_misspelt_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no option 'dead_line'"):
        submissions([HashJob(GENESIS)], {"dead_line": 3})  # type: ignore[typeddict-unknown-key]


def test_zero_objective_is_not_the_same_as_none() -> None:
    ((without, _),) = submissions([HashJob(GENESIS)], {})
    ((with_zero, _),) = submissions([HashJob(GENESIS)], {"objective_ms": 0, "keep_in": "Paris|Nice"})
    assert not without.options.HasField("objective_ms")
    assert with_zero.options.HasField("objective_ms") and list(with_zero.options.keep_in) == ["Paris", "Nice"]


def test_columns_that_are_equal_travel_once() -> None:
    jobs = [HashJob(GENESIS, nonce_start=start, nonce_count=10) for start in range(0, 50, 10)]
    ((submission, positions),) = submissions(jobs, {})
    work = submission.hash
    assert len(work.headers) == 76 and len(work.targets) == 32 and list(work.nonce_counts) == [10]
    assert list(work.nonce_starts) == [0, 10, 20, 30, 40] and positions == [0, 1, 2, 3, 4] and submission.count == 5


def test_very_long_list_is_cut_under_derived_keys() -> None:
    parts = submissions([HashJob(GENESIS)] * (ITEMS_PER_SUBMISSION + 1), {"key": "k"})
    assert [(part.key, part.count) for part, _ in parts] == [("k", ITEMS_PER_SUBMISSION), ("k/1", 1)]


def test_submit_without_a_key_gets_one_of_its_own() -> None:
    ((first, _),) = submissions([HashJob(GENESIS)], {})
    ((second, _),) = submissions([HashJob(GENESIS)], {})
    assert first.key and first.key != second.key
