"""What an operator may write, and the sentence for what does not hold together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from node.config import MODELLED_IDLE_WATTS, MODELLED_SLOT_WATTS, ConfigError, NodeConfig, complete, read

FLEET = """
[[site]]
name = "dam"
region = "SaoPaulo"
operator = "hydro-co"
tier = "hub"
price_usd_per_kwh = 0.035
carbon_zone = "BR-SP"
pue = 1.1
[[site]]
name = "loft"
region = "Paris"
[[node]]
site = "dam"
name = "dam"
count = 3
slots = 8
idle_watts = 120
max_watts = 900
hash = { hashes_per_s = 9e9 }
[[node]]
site = "loft"
name = "box"
"""


def configured(file: Path | None = None, **flags: object) -> NodeConfig:
    given = read(file, flags)
    return complete(given, str(given["name"].value) if "name" in given else "unnamed")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET)
    return file


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "node.toml"
    file.write_text(text)
    return file


def refusal(file: Path | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        configured(file, **flags)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_nothing_but_a_name_gives_a_whole_node() -> None:
    config = configured(name="box")
    assert (config.site, config.region, config.operator, config.tier, config.pue) == ("box", "box", "box", "edge", 1.0)
    assert config.slots == len(os.sched_getaffinity(0))
    assert config.idle_watts == MODELLED_IDLE_WATTS
    assert config.max_watts == MODELLED_IDLE_WATTS + MODELLED_SLOT_WATTS * config.slots


def test_node_finds_itself_in_a_fleet_file_by_its_name(fleet: Path) -> None:
    config = configured(fleet, name="dam-2")
    assert (config.name, config.site, config.region, config.operator) == ("dam-2", "dam", "SaoPaulo", "hydro-co")
    assert (config.tier, config.price_usd_per_kwh, config.pue) == ("hub", 0.035, 1.1)
    assert (config.slots, config.idle_watts, config.max_watts) == (8, 120, 900)


def test_flags_outrank_the_file(fleet: Path) -> None:
    config = configured(fleet, name="dam-1", slots=2, region="Recife", price_usd_per_kwh=-0.01)
    assert (config.slots, config.region, config.price_usd_per_kwh, config.operator) == (2, "Recife", -0.01, "hydro-co")


def test_file_of_one_node_gives_the_name_too(tmp_path: Path) -> None:
    file = written(tmp_path, '[site]\nname = "loft"\nregion = "Paris"\n[node]\nname = "box"\nslots = 3\n')
    config = configured(file)
    assert (config.name, config.site, config.region, config.slots) == ("box", "loft", "Paris", 3)


def test_full_draw_alone_never_falls_below_the_modelled_idle_draw() -> None:
    assert configured(name="box", max_watts=4.0).idle_watts == 4.0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"idle_watts": -5.0}, "--idle-watts = -5.0: must be 0 or more"),
        ({"max_watts": -5.0}, "--max-watts = -5.0: must be 0 or more"),
        ({"max_watts": float("nan")}, "--max-watts = nan: must be a finite number"),
        ({"slots": 0}, "--slots = 0: must be 1 or more"),
        ({"pue": 0.9}, "--pue = 0.9: must be 1 or more"),
        ({"tier": "middle"}, "--tier = 'middle': must be 'hub' or 'edge'"),
        ({"extra_delay_ms": 9000.0}, "--extra-delay-ms = 9000.0: must be 2000 or less"),
        ({"price_usd_per_kwh": float("inf")}, "--price-usd-per-kwh = inf: must be a finite number"),
        ({"region": "a|b"}, "--region = 'a|b': must be printable text without \"|\", which joins names in lists"),
        (
            {"idle_watts": 120.0, "max_watts": 50.0},
            "--max-watts, --idle-watts: max_watts = 50 is below idle_watts = 120: "
            "a machine draws at least as much busy as idle, so correct one of the two",
        ),
    ],
)
def test_flag_out_of_range_is_named_with_what_is_wanted(flags: dict[str, Any], sentence: str) -> None:
    assert refusal(name="box", **flags) == sentence


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[node]\nnmae = "x"\n', "node nmae is an unknown key (did you mean name?)"),
        ('[[site]]\nname = "s"\nwatts = 3\n[node]\nsite = "s"\n', "site watts is an unknown key"),
        ('colour = "red"\n', "colour is an unknown key; a node reads [[site]] and [[node]]"),
        ("[node]\nslots = 2.5\n", "node slots = 2.5: must be a whole number"),
        ("[node]\nslots = true\n", "node slots = True: must be a whole number"),
        ("[node]\nidle_watts = 90\nmax_watts = 10\n", "max_watts = 10 is below idle_watts = 90"),
        ('[node]\nsite = "moon"\n', "node site = 'moon' has no [[site]] table: add one, or correct the name"),
        ("node = 3\n", "node must be a table: write [[node]] and its keys below"),
        ("[node\n", "line 1, column 6"),
    ],
)
def test_file_that_does_not_hold_together_is_named_with_the_key(tmp_path: Path, text: str, complaint: str) -> None:
    file = written(tmp_path, text)
    sentence = refusal(file)
    assert sentence.startswith(str(file))
    assert complaint in sentence


def test_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert "correct --config" in refusal(tmp_path / "absent.toml")


def test_fleet_file_without_a_name_lists_the_nodes_to_choose_from(fleet: Path) -> None:
    assert refusal(fleet) == (
        f"{fleet} speaks of several nodes: say with --name which one this is (dam-1, dam-2, dam-3, box)"
    )
    assert "has no node called dam-4" in refusal(fleet, name="dam-4")
