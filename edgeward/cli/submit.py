"""`edgeward submit hash`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import print_json, print_line, print_table
from edgeward.cli.waiting import exit_code, wait
from edgeward.errors import Refused
from edgeward.jobs import Find, HashJob

if TYPE_CHECKING:
    from edgeward.client import Client
    from edgeward.submission import SubmitOptions

Text = str | None
Amount = float | None


def register(app: typer.Typer) -> None:
    submit = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Submit work: `hash` searches nonces.")
    app.add_typer(submit, name="submit")
    command(
        submit,
        "hash",
        examples(
            "edgeward submit hash --header $HEADER --wait",
            "edgeward submit hash --header $HEADER --nonce-start 2083000000 --nonce-count 1000000 --wait",
            "edgeward submit hash --header $HEADER --bits 1f00ffff --find all --deadline 600 --key block-1",
            "edgeward submit hash --header $HEADER --origin Paris --objective-ms 80 --plan",
        ),
    )(hash_)


def hash_(
    call: Invocation,
    header: Annotated[str, flag("HEX", "The block header: 80 bytes, or the first 76.")],
    nonce_start: Annotated[int, flag("N", "The first nonce.")] = 0,
    nonce_count: Annotated[int | None, flag("N", "How many. [default: all that remain]")] = None,
    target: Annotated[Text, flag("HEX", "A hash at most this counts. [default: the header's bits]")] = None,
    bits: Annotated[Text, flag("HEX", "The target in compact form, as 1d00ffff.")] = None,
    find: Annotated[Find, typer.Option(help="Stop at the first hit, or return all.")] = "first",
    origin: Annotated[Text, flag("REGION", "Where the answer is wanted. [default: the coordinator's]")] = None,
    objective_ms: Annotated[Amount, flag("N", "The latency wanted. [default: none]")] = None,
    second_usd: Annotated[Amount, flag("X", "What a second past it costs.")] = None,
    deadline: Annotated[Amount, flag("SECONDS", "Expire unless done by then. [default: never]")] = None,
    priority: Annotated[int, flag("N", "-100 to 100, higher first.")] = 0,
    budget_usd: Annotated[Amount, flag("X", "At most this for energy, network and carbon.")] = None,
    keep_in: Annotated[Text, flag("R|R", "Regions that the work must not leave.")] = None,
    strategy: Annotated[Text, flag("NAME", "Place by this one. [default: the live one]")] = None,
    replicas: Annotated[int, flag("N", "Run it on this many nodes.")] = 1,
    key: Annotated[Text, flag("KEY", "The same key is the same job, however often it is sent.")] = None,
    wait_: Annotated[bool, typer.Option("--wait", help="Wait for the result.")] = False,
    timeout: Annotated[Amount, flag("S", "Wait at most this long; the job goes on. [default: for ever]")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say where it would go and why, and run nothing.")] = False,
    plan_id: Annotated[str | None, flag("ID", "Of --plan: refused if the choice would be another by now.")] = None,
) -> None:
    """Search a block header's nonces for a double SHA-256 that is at most the target.

    Prints the job's id; with --wait what was found, what it cost and where it ran. Finding nothing is a result as well.
    """
    job = HashJob(header, nonce_start=nonce_start, nonce_count=nonce_count, target=target, bits=bits, find=find)
    options: SubmitOptions = {
        "origin": origin,
        "objective_ms": objective_ms,
        "second_usd": second_usd,
        "deadline_s": deadline,
        "priority": priority,
        "budget_usd": budget_usd,
        "keep_in": keep_in,
        "strategy": strategy,
        "replicas": replicas,
        "key": key,
        "plan_id": plan_id,
    }
    with call.client() as client:
        if plan:
            _plan(call, client, job, options)
        else:
            _submit(call, client, job, options, wait_ or timeout is not None, timeout)


def _plan(call: Invocation, client: "Client", job: HashJob, options: "SubmitOptions") -> None:
    from edgeward import tables, views

    plan = client.plan(job, **options)
    if call.json:
        print_json(views.as_document(plan))
    else:
        print_table(tables.plan(plan))
    if plan.refusal is not None:
        raise typer.Exit(Refused.exit_code)


def _submit(
    call: Invocation, client: "Client", job: HashJob, options: "SubmitOptions", waits: bool, timeout_s: float | None
) -> None:
    from edgeward import tables, views

    try:
        handle = client.submit(job, **options)
    except Refused as refusal:
        if call.json:
            print_json(_refused(refusal, options))
        raise
    if not waits and not call.json:
        print_line(handle.job_id)
        print_line(f"follow it with: edgeward wait {handle.job_id}")
        return
    record = wait(client, [handle], timeout_s)[0] if waits else handle.describe()
    if call.json:
        print_json(views.as_document(record))
    else:
        print_table(tables.job(record))
    if waits:
        raise typer.Exit(exit_code(record))


def _refused(refusal: Refused, options: "SubmitOptions") -> dict[str, Any]:
    """A job that never was, in the form of one."""
    from protos import document, types_pb2

    never = types_pb2.Job(
        kind=types_pb2.KIND_HASH,
        state=types_pb2.JOB_STATE_REFUSED,
        origin=options.get("origin") or "",
        strategy=options.get("strategy") or "",
        key=options.get("key") or "",
        error=str(refusal),
    )
    named = {
        "reason": refusal.reason,
        "survivors": [{"rule": rule, "left": left} for rule, left in refusal.survivors],
        "relaxation": refusal.relaxation,
    }
    return document.job(never) | {"submitted_at": None, "refusal": named}
