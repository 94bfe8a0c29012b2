"""Series of the table of metrics as text: a name and labels, in the form in which Prometheus shows them.

`sends{campaign="win_back",channel="push"}`: labels are sorted by name, and those without a value left out, so that one
set of labels is one text. Values are escaped: a slash, a quote or a line break in one ends nothing. They are cut, so
that a row key has room for them. Before, a series was `name/label/label`, which a slash in a label makes ambiguous;
names have neither `/` nor `{`, so that either form is known by what follows the name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

__all__ = ["LABEL_LENGTH", "escaped", "label_value", "read_series", "series_of", "series_start"]

#: Characters of a label's value.
LABEL_LENGTH = 120

_SERIES = re.compile(r'([a-z_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\}')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def series_of(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """A name and its labels as text; the same whatever the order of the labels."""
    said = (f'{label}="{escaped(label_value(value))}"' for label, value in sorted(labels) if value)
    return f"{name}{{{','.join(said)}}}"


def series_start(name: str, label: str, value: str) -> str:
    """What the series of a name begin with that have this value of their first label."""
    return series_of(name, [(label, value)]).removesuffix("}")


@lru_cache(4096)
def read_series(series: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """The name and the labels of a series, sorted; None for a text that is none."""
    found = _SERIES.fullmatch(series)
    if found is None:
        return None
    return found[1], tuple((label, _unescaped(value)) for label, value in _LABEL.findall(found[2]))


def label_value(value: str) -> str:
    """A value as a label has it: a long one is its beginning and a hash, by which it is still told apart."""
    if len(value) <= LABEL_LENGTH:
        return value
    return f"{value[: LABEL_LENGTH - 9]}~{blake2b(value.encode(errors='replace'), digest_size=4).hexdigest()}"


def escaped(value: str) -> str:
    r"""A value between quotes: `\`, `"` and line breaks are escaped, as in Prometheus' text format.

    (https://prometheus.io/docs/instrumenting/exposition_formats/)
    """
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value)
