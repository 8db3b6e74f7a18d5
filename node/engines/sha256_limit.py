"""How fast a kernel could be here at most: from how many instructions it needs and how many of each a core can start.

For each kind of instruction (additions, shifts and rotates, logic; the three of SHA) a loop of twelve of them that do
not wait for one another is timed. A kernel cannot be faster than any one kind of its instructions takes at the measured
rate of that kind, nor, on vectors, than all of them take at the rate of the fastest kind: whatever stands in the
processor between issue and unit is shared. So the limit is the largest of those times; it counts no loads, no moves, no
waiting for results, and no kernel reaches it.

Only for x86-64 with AVX2, and where the kernels need what was counted here; elsewhere there is no limit to state.
"""

import ctypes
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from node.engines.machine_code import Loaded, Processor, compiled
from node.engines.sha256_llvm import module
from node.engines.sha256_sha import Streams
from node.engines.sha256_words import header_program

_CHAINS = 12  # independent, enough for four a cycle with a latency of three
_TURNS = 4  # of all chains in the body of the loop
_LOOPS = 20_000
_WIDE = {"add": "vpaddd {r}15, {r}, {r}", "shift": "vpsrld $$7, {r}, {r}"}
_TERNARY = _WIDE | {"logic": "vpternlogd $$0x96, {r}15, {r}14, {r}"}
_BINARY = _WIDE | {"logic": "vpxor {r}15, {r}, {r}"}
_SHA = {
    "rnds2": "sha256rnds2 %xmm0, {r}15, {r}",
    "msg1": "sha256msg1 {r}15, {r}",
    "msg2": "sha256msg2 {r}15, {r}",
}


class Limit(NamedTuple):
    """How often a step of a kernel runs each kind of instruction, for how many nonces, and how the kinds are timed."""

    counts: Mapping[str, int]
    lanes: int
    loops: Mapping[str, Callable[[int], None]]
    shared: bool  # whether all kinds come through one door

    def hashes_per_s(self) -> float:
        """Measured now, in a few milliseconds."""
        seconds = {kind: _seconds(loop) for kind, loop in self.loops.items()}
        least = max(count * seconds[kind] for kind, count in self.counts.items())
        if self.shared:
            least = max(least, sum(self.counts.values()) * min(seconds.values()))
        return self.lanes / least


def limit(kernel: str, processor: Processor) -> Limit | None:
    """The limit of one of `sha256_engines.KERNELS` here; None where it is not known."""
    if "avx2" not in processor.features:
        return None
    if kernel == "sha-4":
        text = str(module(Streams(4)))
        counts = {kind: text.count(f'call <4 x i32> @"llvm.x86.sha256{kind}"') for kind in _SHA}
        return Limit(counts, 4, _loops(_SHA, "%xmm", processor), shared=False)
    sixteen, ternary = kernel == "avx512-16", "avx512vl" in processor.features
    loops = _loops(_TERNARY if ternary else _BINARY, "%zmm" if sixteen else "%ymm", processor)
    return Limit(_lane_counts(ternary), 16 if sixteen else 8, loops, shared=True)


def _lane_counts(ternary: bool) -> dict[str, int]:
    """By kind of instruction. AVX2 has no rotate (two shifts and an `or`) and logic on two operands only."""
    each = header_program().counts()
    shift, logic = each["rotr"] + each["shr"], each["parity"] + each["ch"] + each["maj"]
    if not ternary:
        shift += each["rotr"]
        logic = each["rotr"] + 2 * each["parity"] + 3 * (each["ch"] + each["maj"])
    return {"add": each["add"], "shift": shift, "logic": logic}


def _loops(instructions: Mapping[str, str], register: str, processor: Processor) -> dict[str, Callable[[int], None]]:
    return {kind: _loop(text, register, processor) for kind, text in instructions.items()}


def _loop(instruction: str, register: str, processor: Processor) -> Callable[[int], None]:
    """A function that runs the instruction _CHAINS * _TURNS times as often as it is told."""
    # %xmm0, %xmm14 and %xmm15 are read only
    body = [instruction.replace("{r}15", f"{register}15").replace("{r}14", f"{register}14")] * _TURNS
    lines = [line.replace("{r}", f"{register}{chain}") for line in body for chain in range(1, 1 + _CHAINS)]
    spoilt = ",".join(f"~{{{register[1:]}{number}}}" for number in range(16))
    text = f"""
define void @run(i64 %times) {{
entry:
  br label %loop
loop:
  %left = phi i64 [ %times, %entry ], [ %less, %loop ]
  call void asm sideeffect "{chr(92)}0A{{}}", "{spoilt}"()
  %less = sub i64 %left, 1
  %more = icmp ne i64 %less, 0
  br i1 %more, label %loop, label %end
end:
  ret void
}}""".replace("{}", "\\0A".join(lines))
    loaded = Loaded(compiled(text, processor, None), processor)
    run = ctypes.CFUNCTYPE(None, ctypes.c_int64)(loaded.address("run"))

    def loop(times: int) -> None:
        run(times)
        assert loaded  # the code lives as long as this function

    return loop


def _seconds(loop: Callable[[int], None]) -> float:
    """Of one instruction, in this thread's time on a core."""
    began = time.thread_time()
    loop(_LOOPS)
    return (time.thread_time() - began) / (_LOOPS * _CHAINS * _TURNS)
