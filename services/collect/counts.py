"""What a process has counted since it started, in Prometheus' text format."""

from collections import Counter
from collections.abc import Iterator

from transforms.storage.series import escaped

__all__ = ["ServiceCounts"]

_HELP = {
    "requests": "Requests by the status of the answer",
    "calls": "Calls that were taken, by source",
    "refused": "Calls that were refused, by source and cause",
}


class ServiceCounts:
    """Counters of one process."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def add(self, name: str, count: int = 1, **labels: str) -> None:
        """Count."""
        self._counted[name, tuple(labels.items())] += count

    def lines(self) -> Iterator[str]:
        """The lines of the exposition, without line ends."""
        for name, says in _HELP.items():
            shown = f"todoke_collect_{name}_total"
            yield f"# HELP {shown} {says}."
            yield f"# TYPE {shown} counter"
            for (each, labels), count in sorted(self._counted.items()):
                if each == name:
                    said = ",".join(f'{label}="{escaped(value)}"' for label, value in labels)
                    yield f"{shown}{{{said}}} {count}"
