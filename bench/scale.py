"""What a billion events a day of 100 million users take: sizes, key skew, a wave of sends, and the cost by line.

    python -m bench.scale [--users N] [--events N] [--seed N] [--json]

`--users` are run through the real code to measure sizes (ten days, ten events a day each), `--events` are drawn for a
minute's skew. All counts are the same for the same arguments; microseconds are of this machine. docs/scale.md says what
follows.
"""

import argparse
import json
from collections.abc import Iterable
from typing import Any

from bench.scale_cost import costs
from bench.scale_sizes import measure_sizes
from bench.scale_skew import measure_hot_key, simulate_skew
from bench.scale_waves import Flow, measure_one_user, simulate_wave

#: The load of docs/scale.md.
USERS, EVENTS_A_SECOND = 100_000_000, 1e9 / 86_400
EXPONENTS = (0.8, 0.9, 1.1)
FLOWS = (20_000, 50_000, 100_000)
RATES = (1, 100, 10_000)


def measure(users: int, events: int, seed: int) -> dict[str, Any]:
    """Everything, by section."""
    sizes, one, hot = measure_sizes(users), measure_one_user(), measure_hot_key(20_000)
    one_zone = {"Asia/Tokyo": 1.0}
    skew = {each: simulate_skew(events, USERS, exponent=each, seed=seed) for each in EXPONENTS}
    waves = {each: simulate_wave(USERS, Flow(each), one) for each in FLOWS}
    together = {each: simulate_wave(USERS, Flow(each), one, one_zone) for each in FLOWS}
    return {
        "sizes": {**sizes._asdict(), "writes": sizes.writes, "reads": sizes.reads},
        "hot key": {**hot._asdict(), "a_second": hot.a_second},
        **{f"skew, exponent {each}": found._asdict() for each, found in skew.items()},
        "one user of a wave": one._asdict(),
        **{f"wave, {each} decisions/s": found._asdict() for each, found in waves.items()},
        **{f"wave in one zone, {each} decisions/s": found._asdict() for each, found in together.items()},
        **{
            f"cost, {each:.0f} events/s": {**found._asdict(), "priced": found.priced}
            for each in (*RATES, EVENTS_A_SECOND)
            for found in (costs(each, sizes, int(USERS * each / EVENTS_A_SECOND), reread=skew[0.9].reread),)
        },
    }


def _lines(found: dict[str, Any]) -> Iterable[str]:
    for section, values in found.items():
        yield f"\n{section}"
        for name, value in values.items():
            if isinstance(value, dict):
                value = ", ".join(f"{key}: {_short(each)}" for key, each in value.items())  # noqa: PLW2901
            yield f"  {name:18}  {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, tuple):
        return " × ".join(_short(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=700_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.users, asked.events, asked.seed)
    print(json.dumps(found) if asked.json else "\n".join(_lines(found)).lstrip())


if __name__ == "__main__":
    main()
