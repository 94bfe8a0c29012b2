"""What a process has counted since it started, in Prometheus' text format."""

from collections import Counter
from collections.abc import Iterator, Mapping

from transforms.storage.series import escaped

__all__ = ["ServiceCounts"]


class ServiceCounts:
    """Counters of one process.

    Args:
      service: a word that the names of its series begin with, behind `todoke_`.
      helps: what is counted, by name: a sentence without its end.
    """

    def __init__(self, service: str, helps: Mapping[str, str]) -> None:
        self._service = service
        self._helps = helps
        self._counted: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def add(self, name: str, count: int = 1, **labels: str) -> None:
        """Count."""
        self._counted[name, tuple(labels.items())] += count

    def lines(self) -> Iterator[str]:
        """The lines of the exposition, without line ends."""
        for name, says in self._helps.items():
            shown = f"todoke_{self._service}_{name}_total"
            yield f"# HELP {shown} {says}."
            yield f"# TYPE {shown} counter"
            for (each, labels), count in sorted(self._counted.items()):
                if each == name:
                    said = ",".join(f'{label}="{escaped(value)}"' for label, value in labels)
                    yield f"{shown}{{{said}}} {count}" if said else f"{shown} {count}"
