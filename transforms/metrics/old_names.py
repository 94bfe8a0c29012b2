"""Series as they were named before they had labels: `name/label/label`. They are read for one version.

A slash in a label was not told from one between labels. What each name says is known, so that most are read as they
were meant: only in names of events could there be slashes, and these stand alone.
"""

from transforms.storage.series import series_of

__all__ = ["read_old"]

#: The labels of each name, in the order in which they stood.
_LABELS = {
    "accounts": ("outcome", "cause"),
    "control": ("outcome", "cause"),
    "events": ("event",),
    "entered": ("segment", "via"),
    "left": ("segment", "via"),
    "entries": ("campaign", "arm"),
    "conversions": ("campaign", "goal", "arm"),
    "value": ("campaign", "goal", "arm"),
    "decided": ("campaign", "channel"),
    "suppressed": ("reason", "campaign"),
    "sends": ("channel", "state"),
    "repeated": ("channel", "campaign"),
    "merged": (),
    "truncated": ("kind",),
    "rebuilt": ("how",),
    "internal": ("kind",),
}


def read_old(series: str) -> str | None:
    """The series that has taken the place of an old one, None where none has.

    What a live job read is no series any more, but the sum of how its messages ended.
    """
    name, slash, rest = series.partition("/")
    labels = _LABELS.get(name)
    if not slash or labels is None or series == "control/read/":
        return None
    values = [rest.removesuffix("/")] if name == "events" else rest.split("/", max(1, len(labels) - 1))
    return series_of(name, zip(labels, values, strict=False))
