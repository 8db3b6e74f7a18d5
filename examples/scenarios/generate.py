"""Generates the three scenarios beside it: invented prices, loads and machines; only the cities are where they are.

    python examples/scenarios/generate.py [DIRECTORY]

The same numbers every time.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

import numpy as np

CITIES = {  # latitude, longitude
    "Frankfurt": (50.11, 8.68),
    "Lyon": (45.76, 4.84),
    "Madrid": (40.42, -3.70),
    "NewYork": (40.71, -74.01),
    "Oslo": (59.91, 10.75),
    "Paris": (48.86, 2.35),
    "SaoPaulo": (-23.55, -46.63),
    "Tokyo": (35.68, 139.69),
    "Warsaw": (52.23, 21.01),
}
START = datetime(2026, 1, 12, tzinfo=UTC)
KM_A_MS = 200.0 / 2  # light in glass, there and back
DETOUR = 1.4


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def kilometres(one: str, other: str) -> float:
    """Along the great circle."""
    (a, b), (c, d) = (map(radians, CITIES[city]) for city in (one, other))
    return 2 * 6371 * asin(sqrt(sin((c - a) / 2) ** 2 + cos(a) * cos(c) * sin((d - b) / 2) ** 2))


def latency(path: Path, cities: Sequence[str]) -> None:
    pairs = combinations(sorted(cities), 2)
    rows = ((a, b, f"{2 + DETOUR * kilometres(a, b) / KM_A_MS:.1f}") for a, b in pairs)
    write(path, ("source", "destination", "rtt_ms"), rows)


def curves(
    path: Path, rng: np.random.Generator, zones: dict[str, tuple[float, float]], hours: int, digits: int
) -> None:
    """For each zone a mean and a swing: cheap at night and at noon, dear in the evening, never quite the same."""
    hour = np.arange(hours)
    day = 0.6 * np.cos((hour - 19) * 2 * np.pi / 24) + 0.4 * np.cos((hour - 19) * 2 * np.pi / 12)
    columns = []
    for mean, swing in zones.values():
        noise = np.zeros(hours)
        for n in range(1, hours):
            noise[n] = 0.8 * noise[n - 1] + rng.normal(0, 0.2)
        columns.append(np.round(mean + swing * (day + noise), digits))
    moments = [(START + timedelta(hours=n)).isoformat().replace("+00:00", "Z") for n in range(hours)]
    write(path, ("ts_utc", *zones), zip(moments, *(column.tolist() for column in columns), strict=True))


def arrivals(rng: np.random.Generator, count: int, length_s: float) -> list[float]:
    """A busy time in the middle, so that queues form and clear."""
    at = length_s * rng.beta(2.0, 2.0, count)
    return [round(float(moment), 3) for moment in np.sort(at)]


def tokens(rng: np.random.Generator, count: int, median: float) -> list[int]:
    return [int(size) for size in np.clip(rng.lognormal(np.log(median), 0.7, count), 1, 4000)]


def three_continents(directory: Path) -> None:
    """Two hours of requests from three continents, and hashing that waits for whoever has room."""
    rng = np.random.default_rng(1)
    latency(directory / "latency.csv", ("Frankfurt", "NewYork", "Paris", "SaoPaulo", "Tokyo"))
    zones = {"river": (0.03, 0.01), "europe": (0.14, 0.08), "america": (0.09, 0.05), "japan": (0.17, 0.06)}
    curves(directory / "prices.csv", rng, zones, 48, 5)
    grams = {"river": (95.0, 10.0), "europe": (280.0, 90.0), "america": (370.0, 60.0), "japan": (460.0, 50.0)}
    curves(directory / "carbon.csv", rng, grams, 48, 1)
    asked, hashed = 2000, 300
    origins = rng.choice(["Paris", "NewYork", "Tokyo"], asked, p=[0.4, 0.35, 0.25]).tolist()
    length, prompt = tokens(rng, asked, 150), tokens(rng, asked, 600)
    rows: list[tuple[object, ...]] = [
        (at, "inference", origin, out, context, 2500, "", "false")
        for at, origin, out, context in zip(arrivals(rng, asked, 7200), origins, length, prompt, strict=True)
    ]
    sizes = np.round(rng.uniform(30, 120, hashed) * 30e6, -6).astype(int).tolist()
    rows += [
        (at, "hash", "Paris", size, "", "", 14400, "true")
        for at, size in zip(arrivals(rng, hashed, 7200), sizes, strict=True)
    ]
    rows.sort(key=lambda row: float(str(row[0])))
    names = ("arrival_s", "kind", "origin", "units", "context_tokens", "objective_ms", "deadline_s", "deferrable")
    write(directory / "jobs.csv", names, rows)


def price_shock(directory: Path) -> None:
    """Half a day of hashing in four zones; in the third hour the cheapest becomes the dearest."""
    rng = np.random.default_rng(2)
    latency(directory / "latency.csv", ("Frankfurt", "Madrid", "Oslo", "SaoPaulo", "Warsaw"))
    zones = {"north": (0.035, 0.01), "south": (0.06, 0.04), "east": (0.11, 0.03), "river": (0.045, 0.01)}
    curves(directory / "prices.csv", rng, zones, 24 * 21, 5)
    count = 2400
    sizes = [f"{seconds * 5.5e19:.3g}" for seconds in rng.uniform(60, 300, count)]  # of a quarter of a hall
    origins = rng.choice(["Frankfurt", "Madrid", "Warsaw"], count).tolist()
    rows = zip(arrivals(rng, count, 43200), ["hash"] * count, origins, sizes, [21600] * count, strict=True)
    write(directory / "jobs.csv", ("arrival_s", "kind", "origin", "units", "deadline_s"), rows)


def edge_or_hub(directory: Path) -> None:
    """One hour of chat: five small rooms near the users, or as many slots in one hall far away."""
    rng = np.random.default_rng(3)
    latency(directory / "latency.csv", ("Frankfurt", "Lyon", "Madrid", "Oslo", "Paris", "Warsaw"))
    count = 4000
    rows = zip(arrivals(rng, count, 3600), tokens(rng, count, 500), tokens(rng, count, 90), strict=True)
    write(directory / "requests.csv", ("arrival_s", "context_tokens", "generated_tokens"), rows)


def generate(directory: Path) -> None:
    for fill in (three_continents, price_shock, edge_or_hub):
        place = directory / fill.__name__.replace("_", "-")
        place.mkdir(parents=True, exist_ok=True)
        fill(place)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
