"""Waiting for jobs at a terminal: a bar for long work, and what Ctrl-C means."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from edgeward.cli.command import INTERRUPTED
from edgeward.cli.output import err, print_error
from edgeward.errors import Cancelled, Expired, JobFailed, Refused, TimedOut

if TYPE_CHECKING:
    from edgeward.client import Client, JobHandle
    from edgeward.views import Job

LONG_S = 0.5  # work that is done sooner needs no bar
EXIT_CODES = {
    "succeeded": 0,
    "failed": JobFailed.exit_code,
    "cancelled": Cancelled.exit_code,
    "expired": Expired.exit_code,
    "refused": Refused.exit_code,
}


def exit_code(job: "Job") -> int:
    """A job that is still open after a wait timed out."""
    return EXIT_CODES.get(job.state, TimedOut.exit_code)


def wait(client: "Client", handles: Sequence["JobHandle"], timeout_s: float | None) -> list["Job"]:
    """The jobs as they stand when all have ended or the time is over, which is said on standard error."""
    try:
        _wait_with_bar(client, handles, timeout_s)
    except KeyboardInterrupt:
        ids = " ".join(handle.job_id for handle in handles)
        print_error(f"The work goes on: wait again with `edgeward wait {ids}`, end it with `edgeward cancel {ids}`.")
        raise typer.Exit(INTERRUPTED) from None
    jobs = client.describe(handles)
    late = sum(not handle.done() for handle in handles)
    if late:
        print_error(f"{late} of {len(handles)} jobs are not done after {timeout_s:g} s; the work goes on.")
    return jobs


def _wait_with_bar(client: "Client", handles: Sequence["JobHandle"], timeout_s: float | None) -> None:
    console = err()
    if not console.is_terminal or (timeout_s is not None and timeout_s <= LONG_S):
        client.wait(handles, timeout_s)
        return
    if not client.wait(handles, LONG_S).not_done:
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("working"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        client.wait(handles, None if timeout_s is None else timeout_s - LONG_S, progress=show)
