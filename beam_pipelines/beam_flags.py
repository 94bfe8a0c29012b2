"""What can be said of the flags that go to Beam without importing it, which takes two seconds."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["names_dataflow", "names_job_server", "names_prism", "unknown_words"]

_NAME = re.compile(r"""["'](--?[a-zA-Z][\w-]*)["']""")


def unknown_words(beam_flags: Sequence[str]) -> list[str]:
    """Flags that stand nowhere in Beam's options, and words that belong to no flag.

    What is left may be wrong still (a flag that takes no value has one): Beam's own parser says so, once it is there.
    """
    return [word for word, flag in _words(beam_flags) if flag not in _known()]


def names_dataflow(beam_flags: Sequence[str]) -> bool:
    """Whether the job goes to Dataflow."""
    return _names(beam_flags, "dataflow")


def names_job_server(beam_flags: Sequence[str]) -> bool:
    """Whether the job goes to a job server of Beam, such as Flink's."""
    return _names(beam_flags, "flink", "portable")


def names_prism(beam_flags: Sequence[str]) -> bool:
    """Whether the job goes to Prism, by its name."""
    return _names(beam_flags, "prism")


def _names(beam_flags: Sequence[str], *runners: str) -> bool:
    """Whether one of some runners is named: Beam takes a name in any letters, with or without `Runner`."""
    named = [word.lower() for word, flag in _words(beam_flags) if flag == "--runner"]
    return any(runner in word for word in named for runner in runners)


def _words(beam_flags: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each word, with the flag that it is or whose value it is, empty for none."""
    flag = ""
    for word in beam_flags:
        if word.startswith("-"):
            name, _, value = word.partition("=")
            yield word, name
            flag = "" if value else name
        else:
            yield word, flag


@cache
def _known() -> frozenset[str]:
    """The names of Beam's flags, as its code has them. Only the package is looked for, so that nothing is imported."""
    beam = find_spec("apache_beam")
    folders = [] if beam is None else list(beam.submodule_search_locations or ())
    code = "".join((Path(each) / "options" / "pipeline_options.py").read_text("utf-8") for each in folders)
    return frozenset(_NAME.findall(code))
