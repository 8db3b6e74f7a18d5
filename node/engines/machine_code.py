"""From LLVM IR to a function of this process, by the compiler that numba brings, and kept for the next process.

numba itself is not imported: it takes a second or two and 75 MB of every worker, and its cache cannot see that what
generated the code has changed. Here the key is the code. Its overrides hold here as they do there: `NUMBA_CPU_NAME` and
`NUMBA_CPU_FEATURES` can hide what a processor has, never add what it has not.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

_ENTIRELY = (("avx", "avx"), ("avx2", "avx512"), ("avx512f", "avx512"))  # without the first, none of the second


class Processor(NamedTuple):
    """What code may be made for: LLVM's name of it, and its names of features that may and may not be used."""

    name: str
    features: frozenset[str]
    withheld: frozenset[str]

    def flags(self) -> str:
        """For LLVM."""
        return ",".join(
            [*(f"-{each}" for each in sorted(self.withheld)), *(f"+{each}" for each in sorted(self.features))]
        )


def this_processor(environment: Mapping[str, str] = os.environ) -> Processor:
    """The processor that we run on, less what numba's overrides hide."""
    known: dict[str, bool] = dict(llvm.get_host_cpu_features())
    has = {name for name, present in known.items() if present}
    name = environment.get("NUMBA_CPU_NAME", "host").lower()
    listed = environment.get("NUMBA_CPU_FEATURES", "" if name == "generic" else None)
    if listed is None:
        allowed = has
    else:
        signs = [each.strip() for each in listed.split(",") if each.strip()]
        only_minus = bool(signs) and all(each.startswith("-") for each in signs) and name != "generic"
        allowed = has if only_minus else {each[1:] for each in signs if each.startswith("+")} & has
        allowed = allowed - {each[1:] for each in signs if each.startswith("-")}
    for missing, prefix in _ENTIRELY:
        if missing not in allowed:
            allowed = {each for each in allowed if not each.startswith(prefix)}
    if allowed != has:  # a processor's name would bring along what is hidden; to forbid what every one has ends LLVM
        return Processor("generic", frozenset(allowed), frozenset())
    return Processor(llvm.get_host_cpu_name() if name in ("host", "") else name, frozenset(has), frozenset(known) - has)


def compiled(ir: str, processor: Processor, cache: Path | None) -> bytes:
    """An object file of `ir`, a module's text: from `cache` if it is there, else made and left there. Takes seconds.

    Several processes that want the same make it once. Where `cache` is None or cannot be used, nothing is kept.
    """
    key = sha256("\0".join((llvmlite.__version__, processor.name, processor.flags(), ir)).encode()).hexdigest()
    with _locked(cache) as open_cache:
        kept = open_cache / f"{key}.o" if open_cache else None
        if kept and (found := _read(kept)):
            return found
        made: bytes = _target_machine(processor).emit_object(_parsed(ir))
        if kept:
            _write(kept, made)
        return made


class Loaded:
    """An object file in this process; its functions live as long as this does."""

    def __init__(self, code: bytes, processor: Processor) -> None:
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine(processor))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, function: str) -> int:
        address: int = self._engine.get_function_address(function)
        return address


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The user's own, made if need be; None if there can be none, or if others could write to it: it holds code."""
    caches = environment.get("XDG_CACHE_HOME", "")
    try:
        place = (Path(caches) if os.path.isabs(caches) else Path.home() / ".cache") / "edgeward" / "kernels"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = place.stat()
    except (OSError, RuntimeError):
        return None
    ours = status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return place if ours and os.access(place, os.W_OK) else None


@contextlib.contextmanager
def _locked(cache: Path | None) -> Iterator[Path | None]:
    """The cache while nobody else uses it; None if it cannot be locked."""
    if cache is None:
        yield None
        return
    try:
        lock = os.open(cache / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        yield None
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache
    finally:
        os.close(lock)


def _read(kept: Path) -> bytes | None:
    """What `_write` wrote; None if it is not there or not whole."""
    try:
        whole = kept.read_bytes()
    except OSError:
        return None
    digest, code = whole[:32], whole[32:]
    return code if sha256(code).digest() == digest else None


def _write(kept: Path, code: bytes) -> None:
    """Whole or not at all; a full disk costs the next process its time, not this one its kernel."""
    part = kept.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        part.write_bytes(sha256(code).digest() + code)
        part.replace(kept)


def _target_machine(processor: Processor) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(cpu=processor.name, features=processor.flags(), opt=3, jit=True)


def _parsed(ir: str) -> Any:
    module = llvm.parse_assembly(ir)
    module.verify()
    return module
