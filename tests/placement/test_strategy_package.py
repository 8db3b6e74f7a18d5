"""A strategy from another package: the one in examples/, found by its entry point and by nothing else."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.rpc.cluster import strategies
from placement import strategy
from placement.strategy import Strategy, UnknownStrategy, load, names
from tests.builders import node
from tests.placement.fleets import FROM_OSLO, at_sites, chosen

PACKAGE = Path(__file__).parents[2] / "examples" / "strategy_package"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What an installer does: the module on the path, and beside it the metadata that its pyproject.toml makes."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    ((group, points),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(PACKAGE))
    strategy._installed.cache_clear()
    yield
    strategy._installed.cache_clear()
    sys.modules.pop("night_owl", None)


def test_strategy_of_another_package_is_found_and_places(installed: None) -> None:
    owl = load("night-owl", {"operator": "hydro"})
    assert isinstance(owl, Strategy)
    table = at_sites(node("cheap", price_usd_per_kwh=0.01), node("ours", operator="hydro"))
    assert chosen(owl, table, (FROM_OSLO, 2)) == [["ours", "ours"]]


def test_strategy_of_another_package_is_listed_with_the_others(installed: None) -> None:
    told = {one.name: one for one in strategies("weighted")}
    assert {"night-owl", "weighted", "hub"} <= set(told)
    assert told["night-owl"].rule == "the least cost among the nodes of one operator"


def test_strategy_of_another_package_refuses_what_it_does_not_take(installed: None) -> None:
    with pytest.raises(UnknownStrategy, match="wings"):
        load("night-owl", {"wings": 2})


def test_strategy_of_another_package_is_unknown_where_it_is_not_installed() -> None:
    assert "night-owl" not in names()
