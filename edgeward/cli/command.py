"""What every command has: the flags that all share, a client, and an end with the right exit code."""

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeward.cli.output import print_error
from edgeward.errors import EdgewardError

if TYPE_CHECKING:
    from edgeward.client import Client

INTERRUPTED = 130

CoordinatorFlag = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Else EDGEWARD_COORDINATOR, else as your credentials say.",
    ),
]
CredentialsFlag = Annotated[
    str | None,
    typer.Option("--credentials", metavar="DIR", help="Else EDGEWARD_CREDENTIALS, else what `login` wrote."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]

OpenClient = Callable[[str | None, str | None], "Client"]


@dataclass(frozen=True, slots=True)
class Flags:
    """The shared flags as they stood before the command."""

    coordinator: str | None = None
    credentials: str | None = None
    json: bool = False
    open_client: OpenClient | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of a command: the shared flags, wherever they stood."""

    coordinator: str | None
    credentials: str | None
    json: bool
    open_client: OpenClient

    def client(self) -> "Client":
        return self.open_client(self.coordinator, self.credentials)


def command(app: typer.Typer, name: str, epilog: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function whose first parameter is the Invocation; the shared flags are added to its own."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def run(context: typer.Context, **arguments: Any) -> None:
            flags = context.find_object(Flags) or Flags()
            invocation = Invocation(
                coordinator=arguments.pop("coordinator") or flags.coordinator,
                credentials=arguments.pop("credentials") or flags.credentials,
                json=arguments.pop("json") or flags.json,
                open_client=flags.open_client or _open_client,
            )
            with ending_well():
                function(invocation, **arguments)

        _, *own = inspect.signature(function).parameters.values()
        parameters = [_parameter("context", typer.Context), *own, *SHARED]
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        )
        app.command(name, epilog=epilog)(run)
        return function

    return decorate


def _parameter(name: str, annotation: object, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


SHARED = (
    _parameter("coordinator", CoordinatorFlag, None),
    _parameter("credentials", CredentialsFlag, None),
    _parameter("json", JsonFlag, False),
)


def _open_client(coordinator: str | None, credentials: str | None) -> "Client":
    from edgeward.client import Client

    return Client(coordinator, credentials=credentials)


@contextlib.contextmanager
def ending_well() -> Iterator[None]:
    """An error of our tree becomes its sentence and its exit code; any other is a fault and keeps its trace."""
    try:
        yield
    except EdgewardError as error:
        print_error(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of our output has gone, `| head` for one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


def flag(metavar: str, help: str) -> Any:
    """An option with a value; its default is explained in brackets, because None stands for several."""
    return typer.Option(metavar=metavar, help=help)


def examples(*lines: str) -> str:
    """An epilog that keeps its lines."""
    return "\n".join(("Examples:", "", "\b", *(f"  {line}" for line in lines)))
