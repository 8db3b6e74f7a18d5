"""`edgeward jobs`, `job`, `wait`, `cancel`, `why` and `whatif`."""

from typing import Annotated

import typer

from edgeward.cli.command import Invocation, command, examples, flag
from edgeward.cli.output import print_json, print_line, print_table
from edgeward.cli.waiting import exit_code, wait

JobId = Annotated[str, typer.Argument(metavar="ID", help="As `submit` printed it and `jobs` lists it.")]
JobIds = Annotated[list[str], typer.Argument(metavar="ID...", help="As `submit` printed them and `jobs` lists them.")]


def register(app: typer.Typer) -> None:
    command(app, "jobs", examples("edgeward jobs", "edgeward jobs --state running --limit 10"))(jobs)
    command(app, "job", examples("edgeward job 0198c2d1-7a3e-7c11-9f5e-2b1c3d4e5f60"))(job)
    command(app, "wait", examples("edgeward wait ID", "edgeward wait ID1 ID2 --timeout 60"))(wait_for)
    command(app, "cancel", examples("edgeward cancel ID", "edgeward cancel --all"))(cancel)
    command(app, "why", examples("edgeward why ID", "edgeward why ID --node edge-paris"))(why)
    command(app, "whatif", examples("edgeward whatif ID"))(whatif)


def jobs(
    call: Invocation,
    state: Annotated[
        str | None,
        flag("S", "pending, running, succeeded, failed, cancelled, expired or refused."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most this many.")] = 50,
) -> None:
    """The jobs, newest first."""
    from edgeward import tables, views

    with call.client() as client:
        found = client.jobs(state, limit)
    if call.json:
        print_json([views.as_document(each) for each in found])
    else:
        print_table(tables.jobs(found))


def job(call: Invocation, job_id: JobId) -> None:
    """One job: its state, result, cost and every attempt at it."""
    from edgeward import tables, views

    with call.client() as client:
        (found,) = client.describe([job_id])
    if call.json:
        print_json(views.as_document(found))
    else:
        print_table(tables.job(found))


def wait_for(
    call: Invocation,
    job_ids: JobIds,
    timeout: Annotated[float | None, flag("S", "At most this long. [default: for ever]")] = None,
) -> None:
    """Wait until jobs have ended, then print what came of them.

    Exits with the code of the first, in the order given, that did not end well: 1 failed or cancelled, 5 refused, 6 its
    deadline or the time-out passed. --json prints the job, or an array of them for several ids.
    """
    from edgeward import tables, views

    with call.client() as client:
        ended = wait(client, [client.job(job_id) for job_id in job_ids], timeout)
    if call.json:
        documents = [views.as_document(each) for each in ended]
        print_json(documents if len(documents) > 1 else documents[0])
    elif len(ended) > 1:
        print_table(tables.jobs(ended))
    else:
        print_table(tables.job(ended[0]))
    raise typer.Exit(next(filter(None, map(exit_code, ended)), 0))


def cancel(
    call: Invocation,
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `jobs` lists them.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every open job of yours; as admin, of everybody.")] = False,
) -> None:
    """Cancel jobs. What has ended stays as it is."""
    if bool(job_ids) == all_:
        raise typer.BadParameter("name the jobs to cancel, or say --all")
    with call.client() as client:
        cancelled = client.cancel(job_ids or (), all=all_)
    if call.json:
        print_json({"cancelled": cancelled})
    else:
        print_line(f"cancelled {cancelled} job{'' if cancelled == 1 else 's'}")


def why(
    call: Invocation,
    job_id: JobId,
    node: Annotated[str | None, flag("N", "Only this node.")] = None,
) -> None:
    """Why a job went where it went: every node considered, its cost in parts, or why it was out."""
    from edgeward import tables, views

    with call.client() as client:
        explanation = client.why(job_id, node)
    if call.json:
        print_json(views.as_document(explanation))
    else:
        print_table(tables.why(explanation))


def whatif(call: Invocation, job_id: JobId) -> None:
    """What the other strategies would have done with a job, on what was known when it was placed."""
    from edgeward import tables, views

    with call.client() as client:
        answer = client.whatif(job_id)
    if call.json:
        print_json(views.as_document(answer))
    else:
        print_table(tables.whatif(answer))
