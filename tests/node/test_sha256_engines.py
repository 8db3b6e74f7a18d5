"""Every kernel that this machine can run, against `hashlib`: the same nonces, the same count, wherever a range lies."""

import csv
import os
import stat
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.engines import sha256d
from node.engines.sha256_engines import HASHLIB, KERNELS, ROOM, Engine, engines, fastest, works
from node.engines.sha256d import NONCES, Scanned, Searcher
from tests.node.test_engine_sha256d import DIFFICULTY_ONE, GENESIS, GENESIS_NONCE, REAL_HEADERS, target_of

ROOT = Path(__file__).parents[2]
AVAILABLE = [engine for engine in engines() if engine is not HASHLIB]
every_kernel = pytest.mark.parametrize("engine", AVAILABLE, ids=lambda engine: engine.name)


def whole(engine: Engine, header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned:
    """The range to its end, however often the kernel comes back for want of room."""
    covered, nonces = 0, tuple[int, ...]()
    while covered < count:
        done, hits = engine.scan(header, target, start + covered, count - covered, find_all)
        assert done > 0
        covered, nonces = covered + done, nonces + hits
        if hits and not find_all:
            break
    return Scanned(covered, nonces)


def test_this_machine_has_a_kernel_beside_hashlib():
    pytest.importorskip("llvmlite")
    assert "vector-8" in [engine.name for engine in AVAILABLE]


@every_kernel
@settings(max_examples=60, deadline=None)
@given(
    header=st.binary(min_size=76, max_size=76),
    target=st.one_of(st.integers(244, 256).map(lambda bits: 2**bits - 1), st.integers(0, 2**256 - 1)),
    start=st.one_of(st.integers(0, NONCES - 300), st.just(NONCES - 300)),
    count=st.integers(1, 300),
    find_all=st.booleans(),
)
def test_any_range_of_any_header_is_searched_as_hashlib_does(
    engine: Engine, header: bytes, target: int, start: int, count: int, find_all: bool
):
    expected = sha256d.scan(header, target, start, count, find_all)
    assert whole(engine, header, target, start, count, find_all) == expected


@every_kernel
@pytest.mark.skipif(not REAL_HEADERS.exists(), reason="no real headers beside this checkout (../shared/data/bitcoin)")
def test_real_headers_are_each_found_at_their_nonce_and_nowhere_near(engine: Engine):
    with REAL_HEADERS.open() as file:
        for row in csv.DictReader(file):
            header, nonce = bytes.fromhex(row["header_hex"])[:76], int(row["nonce"])
            start = max(0, nonce - 500)
            count = min(1_001, NONCES - start)
            assert whole(engine, header, target_of(row["bits"]), start, count, True).nonces == (nonce,), row["height"]


@every_kernel
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65])
def test_count_that_is_no_multiple_of_the_lanes_is_covered_and_no_nonce_more(engine: Engine, count: int):
    assert whole(engine, GENESIS, 2**256 - 1, 5, count, True) == (count, tuple(range(5, 5 + count)))


@every_kernel
@pytest.mark.parametrize("left", [1, 3, 16, 21])
def test_end_of_all_nonces_is_reached_and_never_passed(engine: Engine, left: int):
    expected = tuple(range(NONCES - left, NONCES))
    assert whole(engine, GENESIS, 2**256 - 1, NONCES - left, left, True) == (left, expected)


@every_kernel
def test_more_hits_than_there_is_room_for_come_back_in_parts_without_a_gap(engine: Engine):
    count = 3 * ROOM + 11
    first = engine.scan(GENESIS, 2**256 - 1, 0, count, True)
    assert 0 < first.covered < count
    assert first.nonces == tuple(range(first.covered))
    assert whole(engine, GENESIS, 2**256 - 1, 0, count, True) == (count, tuple(range(count)))


@every_kernel
def test_candidate_whose_first_word_alone_suffices_is_no_hit(engine: Engine):
    exact = int.from_bytes(sha256(sha256(GENESIS + bytes(4)).digest()).digest(), "little")
    assert whole(engine, GENESIS, exact, 0, 1, False) == (1, (0,))
    assert whole(engine, GENESIS, exact - 1, 0, 1, False) == (1, ())


@every_kernel
def test_genesis_is_found_and_covered_up_to_its_nonce_among_millions(engine: Engine):
    start = GENESIS_NONCE - 1_000_003
    assert whole(engine, GENESIS, DIFFICULTY_ONE, start, 2_000_000, False) == (1_000_004, (GENESIS_NONCE,))


@every_kernel
def test_header_of_the_wrong_size_is_refused_before_it_is_read(engine: Engine):
    with pytest.raises(ValueError, match="not 75"):
        engine.scan(bytes(75), 0, 0, 1, True)


def test_engine_that_finds_nothing_does_not_pass_for_one_that_works():
    assert works(HASHLIB)
    assert not works(Engine("blind", lambda header, target, start, count, find_all: Scanned(count, ())))


@every_kernel
def test_kernel_leaves_the_interpreter_to_other_threads(engine: Engine):
    """Without the lock released, the other thread would not move on while a long call runs."""
    moments: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            moments.append(time.perf_counter())
            over.wait(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    engine.scan(GENESIS, 0, 0, 8_000_000, True)
    ended = time.perf_counter()
    over.set()
    watcher.join()
    assert sum(began < moment < ended for moment in moments) >= 5


@every_kernel
def test_search_by_a_kernel_stops_between_slices_with_exactly_what_it_covered(engine: Engine):
    easy = 2**236
    searched = Searcher(scan=engine.scan).search(GENESIS, easy, 0, NONCES, True, lambda covered: covered > 1_000_000)
    assert 1_000_000 < searched.covered < 5_000_000
    assert searched.nonces == whole(engine, GENESIS, easy, 0, searched.covered, True).nonces


def test_slices_of_a_search_grow_until_they_last_as_long_as_they_should():
    now, slices = [0.0], list[int]()

    def scan(header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned:
        slices.append(count)
        now[0] += count / 50e6
        return Scanned(count, ())

    Searcher(scan=scan, clock=lambda: now[0]).search(GENESIS, 0, 0, 10_000_000, True, lambda covered: False)
    assert max(slices) == pytest.approx(50e6 * sha256d.SLICE_S, rel=0.01)
    assert slices[0] < 5_000


def names_with(tmp_path: Path, **environment: str) -> list[str]:
    """The engines of a fresh process, which must live; the last one is the one it chose."""
    program = (
        "from node.engines.sha256_engines import engines, fastest\n"
        "print(*(engine.name for engine in engines()), fastest().name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({"NUMBA_CPU_NAME": "generic"}, {"avx512-16", "sha-4"}),
        ({"NUMBA_CPU_FEATURES": ""}, {"avx512-16", "sha-4"}),
        ({"NUMBA_CPU_FEATURES": "+sse2,+avx2"}, {"avx512-16", "sha-4"}),
        ({"NUMBA_CPU_FEATURES": "-sha"}, {"sha-4"}),
        ({"NUMBA_CPU_FEATURES": "-avx2,-sha"}, {"avx512-16", "sha-4"}),
        ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "-avx512f"}, {"avx512-16"}),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_features_masked_off_are_not_used_and_nothing_aborts(
    tmp_path: Path, environment: dict[str, str], missing: set[str]
):
    *found, chosen = names_with(tmp_path, **environment)
    assert not missing & set(found)
    assert {"vector-8", "hashlib"} <= set(found)
    assert chosen in found


def test_feature_that_the_processor_has_not_is_not_believed_in(monkeypatch: pytest.MonkeyPatch):
    from node.engines import machine_code

    monkeypatch.setattr(machine_code.llvm, "get_host_cpu_features", lambda: {"sse2": True, "sha": False, "64bit": True})
    processor = machine_code.this_processor({"NUMBA_CPU_FEATURES": "+sha,+sse2"})
    assert processor.features == {"sse2"}
    assert "sha" not in processor.flags()


def test_without_the_compiler_there_is_hashlib_and_no_error(tmp_path: Path):
    (tmp_path / "llvmlite.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    assert names_with(tmp_path, PYTHONPATH=path, PYTHONSAFEPATH="1") == ["hashlib", "hashlib"]


def test_every_kernel_lowers_for_arm_where_it_needs_no_feature():
    llvm = pytest.importorskip("llvmlite.binding")
    from node.engines.sha256_llvm import module

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    arm = llvm.Target.from_triple("aarch64-linux-gnu").create_target_machine(opt=1)
    for kernel in KERNELS:
        if not kernel.needs:
            text = arm.emit_assembly(llvm.parse_assembly(str(module(kernel.step()))))
            assert text.count(".4s") > 4_000, "two vectors of four for each of its operations"


class TestCache:
    def test_kernels_are_kept_for_the_next_process_by_what_they_are(self, tmp_path: Path):
        assert [each.name for each in engines(["vector-8"], tmp_path)] == ["vector-8", "hashlib"]
        (kept,) = tmp_path.glob("*.o")
        before = kept.stat().st_mtime_ns
        assert len(list(engines(["vector-8"], tmp_path))) == 2
        assert [each.stat().st_mtime_ns for each in tmp_path.glob("*.o")] == [before]

    def test_torn_file_is_made_again_and_not_run(self, tmp_path: Path):
        list(engines(["vector-8"], tmp_path))
        (kept,) = tmp_path.glob("*.o")
        good = kept.read_bytes()
        kept.write_bytes(good[: len(good) // 2])
        assert len(list(engines(["vector-8"], tmp_path))) == 2
        assert kept.read_bytes() == good

    def test_cache_that_cannot_be_written_costs_only_time(self, tmp_path: Path):
        assert len(list(engines(["vector-8"], tmp_path / "not" / "there"))) == 2

    def test_directory_that_others_may_write_to_is_not_used(self, tmp_path: Path):
        from node.engines.machine_code import cache_directory

        place = cache_directory({"XDG_CACHE_HOME": str(tmp_path)})
        assert place is not None
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        place.chmod(0o777)
        assert cache_directory({"XDG_CACHE_HOME": str(tmp_path)}) is None


def test_fastest_is_one_of_those_that_are_there():
    assert fastest().name in [engine.name for engine in engines()]
