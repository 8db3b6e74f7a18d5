"""A scenario directory that is whole, for tests that break one thing."""

from __future__ import annotations

from pathlib import Path

SCENARIO = """\
name = "two-rooms"
seed = 1
start = 2023-01-09T00:00:00Z
fleet = "fleet.toml"
jobs = "jobs.csv"
prices = "prices.csv"
latency = "latency.csv"
coordinator_region = "Frankfurt"
"""

FLEET = """\
[[site]]
name = "dam"
region = "SaoPaulo"
operator = "hydro-co"
tier = "hub"
price_zone = "BR-SE"
pue = 1.1
[[site]]
name = "loft"
region = "Paris"
price_usd_per_kwh = 0.2
[[node]]
site = "dam"
name = "dam"
count = 2
slots = 8
idle_watts = 120
max_watts = 900
hash = { hashes_per_s = 9e9 }
[[node]]
site = "loft"
name = "box"
max_watts = 30
inference = { requests_per_s = 40, tokens_per_s = 20 }
"""

FILES = {
    "fleet.toml": FLEET,
    "jobs.csv": "arrival_s,kind,origin,units\n0,hash,Paris,9e9\n1.5,inference,Paris,20\n",
    "prices.csv": "ts_utc,BR-SE\n2023-01-09T00:00:00Z,0.03\n2023-01-09T01:00:00Z,0.05\n",
    "latency.csv": "source,destination,rtt_ms\nFrankfurt,Paris,9\nFrankfurt,SaoPaulo,203\nParis,SaoPaulo,192\n",
}


def written(directory: Path, scenario: str = SCENARIO, **files: str) -> Path:
    """The directory's scenario.toml; `jobs_csv="..."` replaces jobs.csv, an empty text leaves the file out."""
    given = FILES | {name.replace("_", "."): text for name, text in files.items()}
    for name, text in given.items():
        if text:
            (directory / name).write_text(text, encoding="utf-8")
    path = directory / "scenario.toml"
    path.write_text(scenario, encoding="utf-8")
    return path
