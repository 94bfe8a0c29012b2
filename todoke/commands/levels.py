"""Commands about service levels."""

from importlib import import_module

from todoke.help import CommandGroup

__all__ = ["group"]

group = CommandGroup("Service levels")


@group.command(
    'echo \'{"objective": "99.9", "window": "30d", "counts": {"2592000": [500, 1000000]}}\' |',
    "  todoke slo calc",
    name="slo calc",
)
def calc() -> None:
    """Say what is left of a budget, and which alerts fire, by counts of whatever system.

    Each line of standard input is a JSON object: the `objective` in percent, the `window` (7d, 28d or 30d), `counts` as
    [bad, total] by the seconds of trailing windows, and if wanted `at_least`, the events that an alert needs. The
    answer has exact fractions.
    """
    import_module("todoke.slo.calc").calc()
