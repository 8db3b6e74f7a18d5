"""Standard output for results, standard error for everything else; colour only where a terminal shows it."""

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def print_json(document: Any) -> None:
    """One document, indented."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_json_line(document: Any) -> None:
    """One document on one line, at once: for streams."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_line(line: "RenderableType") -> None:
    """A sentence, never broken by us."""
    out().print(line, soft_wrap=True)


def print_table(table: "RenderableType") -> None:
    """As wide as the terminal, or as wide as it needs where there is none."""
    from edgeward import tables

    console = out()
    if console.is_terminal:
        console.print(table)
    else:
        sys.stdout.write(tables.text(table) + "\n")


def print_error(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def out() -> "Console":
    return _console(stderr=False)


def err() -> "Console":
    return _console(stderr=True)


@cache
def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False)
