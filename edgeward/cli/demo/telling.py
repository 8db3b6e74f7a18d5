"""What the demo says: before, meanwhile, and at the end."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from edgeward import tables
from edgeward.cli.demo import work
from edgeward.cli.demo.figures import Figures, elsewhere, figures, sentence
from edgeward.cli.demo.places import ORIGIN, PLACES
from edgeward.cli.output import err, out

if TYPE_CHECKING:
    from edgeward.views import Placement, Strategy

Say = Callable[[str | Table], None]


def teller(*, json: bool) -> Say:
    """Speaks on standard output; under --json, which has that for itself, on standard error."""
    console = err() if json else out()

    def say(what: str | Table) -> None:
        if isinstance(what, Table) and not console.is_terminal:
            what = tables.text(what)
        console.print(what, soft_wrap=isinstance(what, str))
        console.file.flush()

    return say


def introduce(say: Say) -> None:
    say("One machine plays four places. The hashing, its answers, the protocol and the measured times are real.")
    say("Injected: the round trips and the speeds. Stated: prices and watts, so energy is modelled, not measured.\n")
    table = _table(
        *("place", "what", "region", ">$ per\nkWh", ">round\ntrip", ">slots", ">speed\nof one", ">W of\none", ">PUE")
    )
    for place in PLACES:
        table.add_row(
            place.name,
            place.what,
            place.region,
            f"{place.price_usd_per_kwh:.2f}",
            tables.duration(place.delay_ms),
            str(place.slots),
            tables.rate(place.hashes_per_s),
            f"{(place.max_watts - place.idle_watts) / place.slots:.0f}",
            f"{place.pue:.1f}",
        )
    say(table)
    nonces = sum(job.nonce_count for job in work.PATIENT)
    say(
        f"\nAll answers are wanted in {ORIGIN}. Each strategy gets the same work:\n"
        f"  patient  {len(work.PATIENT)} searches of {nonces / 1e6:.0f} million nonces together, on the headers of the "
        "genesis block and of block 125552; no hurry\n"
        f"  urgent   {work.URGENT_JOBS} searches of {work.URGENT_NONCES:,} nonces, one every "
        f"{1e3 * work.URGENT_EVERY_S:.0f} ms, ahead of the patient ones; each second after the first "
        f"{work.OBJECTIVE_MS:.0f} ms costs ${work.SECOND_USD:g}\n"
    )


def open_round(say: Say, strategy: "Strategy") -> None:
    say(f"\n{strategy.name} ({strategy.family}): {strategy.rule}")


def placed(say: Say, kind: str, placement: "Placement") -> None:
    say(f"  {placement.at[11:23]}  {kind:7}  {tables.placement_line(placement)}")


def close_round(say: Say, of: work.Round) -> None:
    for job in of.patient:
        for found in job.result.nonces if job.result is not None else ():
            say(f"  found nonce {found.nonce:,}: {found.hash}")


def conclude(say: Say, rounds: list[work.Round]) -> dict[str, Any]:
    """Says what came of it, as two tables and a sentence; returns the same as a document."""
    lines = [figures(each) for each in rounds]
    kinds = elsewhere(rounds[-1])
    told = sentence(lines, kinds)
    say("")
    say(_costs(lines))
    say("")
    say(_where(lines))
    say("\nµ$: millionths of a dollar. Bill: energy, and the time past the objective at the client's price.")
    say(f"\n{told}")
    return {
        "origin": ORIGIN,
        "injected": [asdict(place) for place in PLACES],
        "objective_ms": work.OBJECTIVE_MS,
        "second_usd": work.SECOND_USD,
        "strategies": [asdict(line) for line in lines],
        "elsewhere": {kind: asdict(each) for kind, each in kinds.items()},
        "shows": told,
    }


def invite(say: Say, credentials: Path) -> None:
    say(
        "\nEverything goes on. In another terminal:\n"
        f"  export EDGEWARD_CREDENTIALS={credentials}\n"
        "  edgeward nodes\n"
        f"  edgeward submit hash --header {work.GENESIS} --nonce-start 2083000000 --nonce-count 1000000 --wait\n"
        "  edgeward placements\n"
        "Ctrl-C here ends it and removes everything."
    )


def _costs(lines: list[Figures]) -> Table:
    """Narrow enough for a terminal of 80 columns."""
    table = _table(
        *("strategy", ">energy\nJ", ">costs\nµ$", ">urgent\np50 ms", ">of it\nqueue", ">p95\nms"),
        *(f">in {work.OBJECTIVE_MS:.0f}\nms", ">time\nµ$", ">patient\ndone s", ">bill\nµ$"),
    )
    for line in lines:
        table.add_row(
            line.strategy,
            f"{line.energy_joules:,.0f}",
            f"{1e6 * line.energy_usd:,.1f}",
            f"{line.latency_ms['p50']:,.0f}",
            f"{line.waiting_ms['p50']:,.0f}",
            f"{line.latency_ms['p95']:,.0f}",
            f"{line.objective_met:.0%}",
            f"{1e6 * line.time_usd:,.0f}",
            f"{line.patient_s:.1f}",
            f"{1e6 * line.cost_usd:,.0f}",
        )
    return table


def _where(lines: list[Figures]) -> Table:
    """Share of busy slot-seconds by site; of the patient and of the urgent work behind it."""
    sites = [place.name for place in PLACES]
    table = _table("share of work", *(f">{site}" for site in sites))
    for line in lines:
        table.add_row(line.strategy, *_percent(line.share_by_site, sites))
        for kind, share in line.share_by_kind.items():
            table.add_row(f"  {kind}", *_percent(share, sites))
    return table


def _percent(share: Mapping[str, float], sites: list[str]) -> list[str]:
    return [f"{share[site]:.0%}" if site in share else "-" for site in sites]


def _table(*headings: str) -> Table:
    """A heading that begins with > is over figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        name = heading.removeprefix(">")
        table.add_column(name, justify="right" if heading.startswith(">") else "left", no_wrap=True)
    return table
