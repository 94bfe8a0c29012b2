"""`todoke slo export`: levels for other systems, on standard output."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from todoke.slo.show import asked_levels
from todoke.terminal import print_error
from transforms.errors import WrongUse
from transforms.metrics.slos.google import google
from transforms.metrics.slos.google_dashboard import google_dashboard
from transforms.metrics.slos.grafana import grafana
from transforms.metrics.slos.openslo import openslo
from transforms.metrics.slos.rule_tests import rule_tests
from transforms.metrics.slos.rules import rules
from transforms.slos.alerts import alerts_of
from transforms.slos.definitions import ServiceLevel

__all__ = ["RULES_FILE", "export"]

_DASHBOARDS: dict[str, Callable[[list[ServiceLevel]], Any]] = {
    "grafana": grafana,
    "google_dashboard": google_dashboard,
}
_JSON: dict[str, Callable[[list[ServiceLevel]], Any]] = {"google": google, **_DASHBOARDS}
#: The name of the file of rules, which that of their tests names.
RULES_FILE = "todoke-rules.yaml"


def export(name: str | None, definitions: str, form: str, *, tests: bool) -> None:
    """Print levels in a form: `openslo`, `prometheus` (with `tests` the tests of its rules), `google`, or a dashboard:
    `grafana`, `google_dashboard`.

    Raises:
      WrongUse: the level or the form is unknown, or a level cannot be said in it.
    """
    levels = asked_levels(definitions, name)
    if tests and form != "prometheus":
        raise WrongUse("--tests goes with --prometheus: only its rules have tests")
    if form == "openslo":
        _print_yaml(openslo(levels))
    elif form in _JSON:
        try:
            print(json.dumps(_JSON[form](levels), indent=2, ensure_ascii=False))
        except ValueError as error:
            raise WrongUse(str(error)) from error
    else:
        _print_yaml([rule_tests(levels, RULES_FILE) if tests else rules(levels)])
    for level in levels if form not in _DASHBOARDS else ():
        if level.status == "trial":
            print_error(f"{level.id}: on trial, so it has no alerts")
        for each in alerts_of(level.objective, level.length)[1]:
            print_error(f"{level.id}: {each}")


def _print_yaml(documents: Iterable[dict[str, Any]]) -> None:
    yaml.safe_dump_all(documents, sys.stdout, sort_keys=False, width=120, allow_unicode=True)
