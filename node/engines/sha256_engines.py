"""The engines for double SHA-256 that this machine has, and which of them is fastest here and now.

`hashlib` is always there. The others are kernels made for this processor by LLVM (llvmlite, the compiler inside numba);
without it, or where one does not compile or does not find the genesis block, there is one engine fewer and no error.
"""

import ctypes
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from node.engines.sha256d import HEADER_BYTES, Scan, Scanned, scan

if TYPE_CHECKING:
    from node.engines.machine_code import Loaded, Processor
    from node.engines.sha256_llvm import Step

CALIBRATION_S = 0.05
ROOM = 1024  # candidates of one call: looking at them takes a millisecond
_ROUNDS = 5
_GENESIS = bytes.fromhex(
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d"
)
_GENESIS_NONCE, _GENESIS_TARGET = 2_083_236_893, 0xFFFF << 208


class Engine(NamedTuple):
    """A way to search, by the name that a node states."""

    name: str
    scan: Scan


HASHLIB = Engine("hashlib", scan)


class Kernel(NamedTuple):
    """A kernel that can be made for a processor with all of `needs`, LLVM's names of features."""

    name: str
    needs: frozenset[str]
    step: Callable[[], "Step"]


def _sixteen_lanes() -> "Step":
    from node.engines.sha256_llvm import Lanes

    return Lanes(16, ternary=True)


def _eight_lanes() -> "Step":
    from node.engines.sha256_llvm import Lanes

    return Lanes(8)


def _four_streams() -> "Step":
    from node.engines.sha256_sha import Streams

    return Streams(4)


KERNELS = (
    Kernel("avx512-16", frozenset({"avx512f", "avx512bw"}), _sixteen_lanes),
    Kernel("sha-4", frozenset({"sha", "sse4.1"}), _four_streams),
    Kernel("vector-8", frozenset(), _eight_lanes),
)


def kernels(processor: "Processor") -> list[Kernel]:
    """Those that the processor can run. Asking first is no courtesy: LLVM ends the process that asks too much."""
    return [kernel for kernel in KERNELS if kernel.needs <= processor.features]


def engines(names: Sequence[str] | None = None, cache: Path | None = None) -> Iterator[Engine]:
    """The kernels of this machine, or those of them that are named, compiled, and `hashlib` last.

    Compiling takes a second or two each, unless `cache` (default: the user's) has them.
    """
    with suppress(ImportError):
        from node.engines import machine_code

        processor = machine_code.this_processor()
        cache = cache or machine_code.cache_directory()
        for kernel in kernels(processor):
            if names is None or kernel.name in names:
                with suppress(RuntimeError):  # LLVM's word for a module or an object that it does not take
                    engine = made(kernel, processor, cache)
                    if works(engine):
                        yield engine
    yield HASHLIB


def fastest() -> Engine:
    """The fastest engine here and now, of those worth trying, by about CALIBRATION_S of hashing.

    Eight lanes are tried only where sixteen are not to be had: they can only lose against those.
    """
    ahead = engines(_worth_trying())
    found = [each for each in ahead if each is not HASHLIB]
    if len(found) < 2:
        return (found or [HASHLIB])[0]
    slice_s = CALIBRATION_S / _ROUNDS / len(found)
    rates: dict[str, list[float]] = {each.name: [] for each in found}
    for _ in range(_ROUNDS):  # in turn, so that what disturbs one disturbs the others
        for each in found:
            rates[each.name].append(rate(each, slice_s))
    return max(found, key=lambda each: statistics.median(rates[each.name]))


def rate(engine: Engine, seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Hashes a second, measured for about so long."""
    done, began = 0, clock()
    step = 65536 if engine is not HASHLIB else 256
    while (elapsed := clock() - began) < seconds or not done:
        done += engine.scan(_GENESIS, 0, done, step, True).covered
    return done / elapsed


def _worth_trying() -> list[str]:
    with suppress(ImportError):
        from node.engines import machine_code

        names = [kernel.name for kernel in kernels(machine_code.this_processor())]
        return [name for name in names if name != "vector-8" or "avx512-16" not in names]
    return []


def made(kernel: Kernel, processor: "Processor", cache: Path | None) -> Engine:
    """A kernel as an engine of this process. Raises RuntimeError where LLVM refuses."""
    from node.engines import machine_code
    from node.engines.sha256_llvm import module

    step = kernel.step()
    code = machine_code.compiled(str(module(step)), processor, cache)
    return Engine(kernel.name, _KernelScan(machine_code.Loaded(code, processor), step.lanes))


def works(engine: Engine) -> bool:
    """Whether it finds the genesis block where it is and nowhere else near."""
    around = 100
    found = engine.scan(_GENESIS, _GENESIS_TARGET, _GENESIS_NONCE - around, 2 * around, True)
    return found == (2 * around, (_GENESIS_NONCE,))


class _KernelScan:
    """A `Scan` by the C function `search` of `sha256_llvm`, which runs without the interpreter's lock."""

    def __init__(self, loaded: "Loaded", lanes: int) -> None:
        self._loaded = loaded  # the function lives as long as this does
        self._lanes = lanes
        self._search = ctypes.CFUNCTYPE(
            ctypes.c_int64,
            *(ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint32),
            *(ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p),
        )(loaded.address("search"))

    def __call__(self, header: bytes, target: int, start: int, count: int, find_all: bool) -> Scanned:
        """The kernel compares one word, so what it finds is a candidate until the whole hash was compared."""
        if len(header) != HEADER_BYTES:
            raise ValueError(f"a header without its nonce has 76 bytes, not {len(header)}")  # it would read past it
        room = ROOM if find_all else self._lanes  # the least: then it stops at the first
        found, hits = (ctypes.c_uint32 * room)(), ctypes.c_int64()
        top = min(max(target, 0) >> 224, 2**32 - 1)
        covered = 0
        while covered < count:
            covered += self._search(header, start + covered, count - covered, top, found, room, ctypes.addressof(hits))
            nonces = tuple(nonce for nonce in found[: hits.value] if _number(header, nonce) <= target)
            if find_all and hits.value:
                return Scanned(covered, nonces)
            if nonces:
                return Scanned(nonces[0] - start + 1, nonces[:1])
        return Scanned(count, ())


def _number(header: bytes, nonce: int) -> int:
    digest = sha256(sha256(header + nonce.to_bytes(4, "little")).digest()).digest()
    return int.from_bytes(digest, "little")
