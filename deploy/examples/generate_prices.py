"""Writes example prices to standard output: `python generate_prices.py [FIRST_DAY] > prices.csv`, a week from that day.

They are made up, not any market's: a dam in the wet season, a city with an evening peak, a sunny region whose price
falls below zero on the weekend's noons. For real ones, put your market's hourly prices into a file of the same form.
"""

import math
import sys
from datetime import UTC, datetime, timedelta

DAYS = 7


def dam(hour: int, weekend: bool) -> float:
    """Cheap and almost flat."""
    return 0.030 + 0.004 * math.sin(math.tau * (hour - 9) / 24) - 0.002 * weekend


def city(hour: int, weekend: bool) -> float:
    """Dear, dearest at 19 o'clock."""
    return 0.16 + 0.09 * math.exp(-(((hour - 19) / 3) ** 2)) - 0.02 * weekend


def solar(hour: int, weekend: bool) -> float:
    """Hardly anything at noon, less than nothing on the weekend."""
    return 0.11 - (0.13 if weekend else 0.10) * math.exp(-(((hour - 13) / 3) ** 2))


def rows(first_day: datetime) -> list[str]:
    """The lines of the file."""
    lines = ["ts_utc,EXAMPLE-DAM,EXAMPLE-CITY,EXAMPLE-SOLAR"]
    for hours in range(24 * DAYS):
        moment = first_day + timedelta(hours=hours)
        values = [f"{price(moment.hour, moment.weekday() >= 5):.4f}" for price in (dam, city, solar)]
        lines.append(",".join([moment.strftime("%Y-%m-%dT%H:%M:%SZ"), *values]))
    return lines


if __name__ == "__main__":
    day = sys.argv[1] if len(sys.argv) > 1 else datetime.now(UTC).date().isoformat()
    print("\n".join(rows(datetime.fromisoformat(day).replace(tzinfo=UTC))))
