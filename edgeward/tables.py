"""Tables and sentences for people: how figures are written, and which columns a view shows."""

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgeward.errors import sentence
from edgeward.views import (
    Attempt,
    Considered,
    Explained,
    Job,
    Move,
    Node,
    Placement,
    Plan,
    Site,
    Strategy,
    Token,
    WhatIf,
    Why,
)

PLAIN_WIDTH = 240  # where no terminal sets one: wide enough that nothing is cut
ROWS_AT_MOST = 20  # of attempts; more are told by node


def text(renderable: RenderableType) -> str:
    """Without colour, however wide."""
    out = io.StringIO()
    Console(file=out, width=PLAIN_WIDTH, markup=False, highlight=False, color_system=None).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def money(usd: float | None) -> str:
    """Two significant digits, never an exponent; from a dollar on, cents."""
    if usd is None:
        return "-"
    sign, usd = ("-" if usd < 0 else ""), abs(usd)
    if usd >= 1:
        return f"{sign}${usd:,.2f}"
    return f"{sign}${Decimal(f'{usd:.2g}').normalize():f}" if usd else "$0"


def duration(ms: float | None) -> str:
    if ms is None:
        return "-"
    if ms < 9.95:
        return f"{ms:.2g} ms"
    if ms < 9_999.5:
        return f"{ms:.0f} ms"
    if ms < 600_000:
        return f"{ms / 1000:.1f} s"
    return f"{ms / 60_000:,.0f} min"


def energy(joules: float | None) -> str:
    if joules is None:
        return "-"
    return f"{joules / 3.6e6:,.2f} kWh" if joules >= 3.6e6 else f"{_three_digits(joules)} J"


def rate(hashes_per_s: float | None) -> str:
    if hashes_per_s is None:
        return "-"
    for unit, size in (("TH/s", 1e12), ("GH/s", 1e9), ("MH/s", 1e6), ("kH/s", 1e3)):
        if hashes_per_s >= size:
            return f"{hashes_per_s / size:.3g} {unit}"
    return f"{hashes_per_s:.0f} H/s"


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{Decimal(f'{value:.3g}'):f}"


def placement_line(placement: Placement) -> str:
    """What will be billed against how long it takes, here and at the next best node: what a placement weighs."""
    bill = placement.energy_usd + placement.network_usd + placement.carbon_usd
    runner_up = placement.runner_up
    second = (
        f"runner-up {runner_up.node}: {money(runner_up.bill_usd)}, {duration(runner_up.expected_ms)}"
        if runner_up
        else "no other node could"
    )
    return (
        f"placed on {placement.node}: {money(bill)}, {duration(placement.expected_ms)}; {second}; {placement.strategy}"
    )


def placement_prefix(placement: Placement) -> str:
    """When, which, and the job's id in full: it is there to be pasted behind `why`."""
    clock = placement.at[11:23]
    return f"{clock}  {placement.seq:>6}  {placement.job_id}  "


def nodes(nodes: Sequence[Node]) -> RenderableType:
    if not nodes:
        return "No node has joined yet: `edgeward token create --role node` lets one in."
    table = _table(
        *("node", "state", "site", "region", "operator", "tier"),
        *(">busy", ">waiting", ">price", ">rtt", ">speed"),
    )
    for node in nodes:
        table.add_row(
            node.name,
            _state(node.state),
            node.site,
            node.region,
            node.operator,
            node.tier,
            f"{node.busy}/{node.slots}",
            str(node.waiting),
            _price(node.price_usd_per_kwh, node.price_source),
            duration(node.rtt_ms),
            f"{rate(node.hashes_per_s)} a slot" if node.hashes_per_s else "-",
        )
    injected = [f"{node.name}: {_injected(node)} (injected)" for node in nodes if node.injected]
    return Group(table, *injected)


def _injected(node: Node) -> str:
    assert node.injected is not None
    delay, brake = node.injected.extra_delay_ms, node.injected.max_hashes_per_s
    parts = [f"{duration(delay)} more round trip"] * bool(delay) + [f"held to {rate(brake)}"] * bool(brake)
    return ", ".join(parts)


def sites(sites: Sequence[Site]) -> RenderableType:
    table = _table("site", "region", "operator", "tier", ">price", "curtailed", "nodes", "note")
    for site in sites:
        price = _price(site.price_usd_per_kwh, site.price_source)
        curtailed = "yes" if site.curtailed else ""
        table.add_row(
            site.name, site.region, site.operator, site.tier, price, curtailed, ", ".join(site.nodes), site.price_note
        )
    return table if sites else "There is no site yet: a site comes with its first node, or from the configuration."


def strategies(strategies: Sequence[Strategy]) -> RenderableType:
    table = _table("", "strategy", "family", "rule")
    for strategy in strategies:
        table.add_row("*" if strategy.live else "", strategy.name, strategy.family, strategy.rule)
    return table


def tokens(tokens: Sequence[Token]) -> RenderableType:
    table = _table("id", "role", "name", "for", ">uses left", "expires")
    for token in tokens:
        use = "HTTP" if token.bearer else "joining"
        table.add_row(token.id, token.role, token.name or "any", use, str(token.uses_left), token.expires_at)
    return table if tokens else "No token is open."


def jobs(jobs: Sequence[Job]) -> RenderableType:
    table = _table("job", "kind", "state", "submitted", ">done", ">cost", "nodes")
    for job in jobs:
        receipt = job.receipt
        table.add_row(
            job.job_id,
            job.kind,
            _state(job.state),
            _second(job.submitted_at),
            _share(job),
            money(receipt.cost_usd if receipt else None),
            ", ".join(receipt.nodes) if receipt else "",
        )
    return table if jobs else "No such job."


def _second(moment: str) -> str:
    """To the second, UTC."""
    return moment[:19].replace("T", " ")


def _share(job: Job) -> str:
    if job.state == "succeeded":
        return "100 %"
    return f"{100 * job.units_done / job.units:.0f} %" if job.units else "-"


def job(job: Job) -> RenderableType:
    lines: list[RenderableType] = [
        Text.assemble(f"job {job.job_id}: ", _state(job.state)),
        *([job.error] if job.error else ()),
        *([f"waiting for {job.waiting_for}"] if job.waiting_for else ()),
        *result_lines(job),
        f"submitted {job.submitted_at} from {job.origin or 'the coordinator itself'}, key {job.key}",
    ]
    if len(job.attempts) > ROWS_AT_MOST:
        lines.append(_attempts_by_node(job.attempts))
    elif job.attempts:
        lines.append(_attempts(job.attempts))
    return Group(*lines)


def _attempts(attempts: Sequence[Attempt]) -> RenderableType:
    table = _table("attempt on", ">epoch", "state", "placed", ">ran", ">cost", ">energy", "reason")
    for attempt in attempts:
        receipt = attempt.receipt
        table.add_row(
            attempt.node,
            str(attempt.epoch),
            _state(attempt.state),
            _second(attempt.placed_at),
            duration(receipt.run_ms if receipt else None),
            money(receipt.cost_usd if receipt else None),
            energy(receipt.energy_joules if receipt else None),
            attempt.reason,
        )
    return table


def _attempts_by_node(attempts: Sequence[Attempt]) -> RenderableType:
    """Too many for a row each: what every node did of them. `--json` has all."""
    table = _table("attempts on", "state", ">how many", ">ran", ">cost", ">energy", "reason")
    kinds: dict[tuple[str, str, str], list[Attempt]] = {}
    for attempt in attempts:
        kinds.setdefault((attempt.node, attempt.state, attempt.reason or ""), []).append(attempt)
    for (node, state, reason), alike in sorted(kinds.items()):
        receipts = [attempt.receipt for attempt in alike if attempt.receipt]
        table.add_row(
            node,
            _state(state),
            f"{len(alike):,}",
            duration(sum(receipt.run_ms for receipt in receipts)),
            money(sum(receipt.cost_usd for receipt in receipts)),
            energy(sum(receipt.energy_joules for receipt in receipts)),
            reason,
        )
    return table


def result_lines(job: Job) -> list[str]:
    """What was found and what it cost."""
    lines = []
    if job.result is not None:
        lines += [f"found nonce {found.nonce:,}  {found.hash}" for found in job.result.nonces]
        if not job.result.nonces and job.state == "succeeded":
            lines.append(f"no nonce meets the target; {job.result.hashes_done:,} were tried")
    if job.receipt is not None:
        receipt = job.receipt
        took = f"after {duration(_milliseconds(job.submitted_at, job.settled_at))}, " if job.settled_at else ""
        lines.append(
            f"cost {money(receipt.cost_usd)}, {energy(receipt.energy_joules)} ({receipt.energy_source}), {took}"
            f"{duration(receipt.run_ms)} of work, on {', '.join(receipt.nodes) or 'no node'}"
        )
    return lines


def why(why: Why) -> RenderableType:
    if not why.placements:
        return f"Job {why.job_id} has not been placed yet; `edgeward job {why.job_id}` says what it waits for."
    parts: list[RenderableType] = []
    for alike in _decided_together(why.placements):
        first = alike[0]
        more = f"   ({len(alike)} tasks, this is the first)" if len(alike) > 1 else ""
        parts.append(placement_prefix(first.placement) + placement_line(first.placement) + more)
        parts.append(considered(first.considered))
    return Group(*parts)


def _decided_together(placements: Sequence[Explained]) -> list[list[Explained]]:
    """Placements of one moment on one node differ only in their queues: one table serves them."""
    together: dict[tuple[str, str], list[Explained]] = {}
    for explained in placements:
        together.setdefault((explained.placement.at, explained.placement.node), []).append(explained)
    return list(together.values())


def _milliseconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds() * 1e3


def plan(plan: Plan) -> RenderableType:
    parts: list[RenderableType] = []
    if plan.refusal:
        parts.append(f"refused: {sentence(plan.refusal.reason, plan.refusal.relaxation)}")
        parts += [f"  {each.left} nodes left after {each.rule}" for each in plan.refusal.survivors]
    elif not plan.placements:
        parts.append("It would wait: no node can take it now.")
    parts += ["would be " + placement_line(placement) for placement in plan.placements]
    if plan.considered:
        parts.append(considered(plan.considered))
    return Group(*parts)


def whatif(answer: WhatIf) -> RenderableType:
    table = _table("strategy", "node", "cost", "energy", "expected", "against what was")
    for each in (answer.actual, *sorted(answer.alternatives, key=lambda one: (one.held > 0, one.cost_usd))):
        if each.held:
            difference = f"would have held {each.held} of {answer.tasks}"
        else:
            difference = "as it was" if each is answer.actual else _signed(each.cost_usd - answer.actual.cost_usd)
        node = each.node or "-"
        table.add_row(
            each.strategy, node, money(each.cost_usd), money(each.energy_usd), duration(each.expected_ms), difference
        )
    return table


def _signed(usd: float) -> str:
    return "the same" if usd == 0 else f"{'+' if usd > 0 else '-'}{money(abs(usd))}"


def moves(moves: Sequence[Move]) -> RenderableType:
    """A row for each job and way; `--json` has every task."""
    together: dict[tuple[str, str, str], list[Move]] = {}
    for each in moves:
        together.setdefault((each.job_id, each.from_node, each.to_node or "waits"), []).append(each)
    table = _table("job", "from", "to", ">tasks", ">cost here", ">cost there")
    for (job_id, here, there), alike in together.items():
        costs = [each.cost_there_usd for each in alike if each.cost_there_usd is not None]
        table.add_row(
            job_id,
            here,
            there,
            f"{len(alike):,}",
            money(sum(each.cost_here_usd for each in alike)),
            money(sum(costs) if costs else None),
        )
    return table


def considered(considered: Iterable[Considered]) -> RenderableType:
    """The nodes that could have had it, best first, then a sentence for each that could not."""
    feasible: list[Considered] = []
    rejected: list[Considered] = []
    for node in considered:
        (rejected if node.rank is None else feasible).append(node)
    costs = {
        "energy": [node.energy_usd for node in feasible],
        "network": [node.network_usd for node in feasible],
        "carbon": [node.carbon_usd for node in feasible],
        "time": [node.time_usd for node in feasible],
    }
    parts = {part: [node.parts_ms[part] for node in feasible] for part in ("rtt", "transfer", "queue", "service")}
    columns = [
        (">rank", [str(node.rank) for node in feasible]),
        ("node", [node.node for node in feasible]),
        (">cost", [money(node.cost_usd) for node in feasible]),
        *((f">{name}", [money(usd) for usd in column]) for name, column in costs.items() if any(column)),
        (">expected", [duration(node.expected_ms) for node in feasible]),
        *((f">{name}", [duration(ms) for ms in column]) for name, column in parts.items() if any(column)),
        (">joules", [energy(node.energy_joules) for node in feasible]),
    ]
    table = _table(*(heading for heading, _ in columns))
    for row in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*row)
    not_these = [
        Text(f"not {node.node}: {'; '.join(f'{each.rule}: {each.sentence}' for each in node.rejections)}", "dim")
        for node in rejected
    ]
    return Group(*([table] if feasible else []), *not_these)


def _table(*headings: str) -> Table:
    """A heading that begins with > is over figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading.startswith(">") else "left"
        name = heading.removeprefix(">")
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in NEVER_BROKEN)
    return table


NEVER_BROKEN = ("job", "node", "site", "submitted", "placed")  # to be copied, or read at a glance
STYLES = {
    "succeeded": "green",
    "ready": "green",
    "running": "cyan",
    "failed": "red",
    "expired": "red",
    "refused": "red",
    "lost": "red",
    "silent": "red",
    "cancelled": "yellow",
    "draining": "yellow",
}


def _state(state: str) -> Text:
    return Text(state, STYLES.get(state, ""))


def _price(usd_per_kwh: float | None, source: str | None) -> str:
    if usd_per_kwh is None:
        return "-"
    return f"${usd_per_kwh:.4g}/kWh{' ' + source if source else ''}"
