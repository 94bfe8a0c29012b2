"""What a launcher of Dataflow runs: its words become the flags of a job, and the job is launched, not waited for.

It gives every parameter of the template as `--name=value`, true and false for switches, empty values for what nobody
filled in, and options of Beam among them. Exit codes: 0 launched, 2 wrong use, 1 anything else, each with one line.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from beam_pipelines.beam_flags import names_dataflow
from beam_pipelines.template_parameters import JOBS, REALTIME, argv_of, values_of
from todoke.boundary import Manner
from transforms.errors import WrongUse

__all__ = ["main"]

_log = logging.getLogger(__name__)
#: Which image workers run. Beam's own has no Todoke in it.
_IMAGE = "sdk_container_image"


def main(words: Sequence[str]) -> int:
    """Launch what the words of a launcher say; returns the exit code."""
    form = "text" if "--log_format=text" in words else "json"
    manner = Manner([*words, f"--log-format={form}"])
    with manner.logs():
        try:
            _launch(words)
        except Exception as error:  # noqa: BLE001 - the boundary of the program: an error becomes a line and a code
            return manner.tell(error)
    return 0


def _launch(words: Sequence[str]) -> None:
    """Raises: WrongUse, DefinitionsError: nothing was launched."""
    job = _job(words)
    values, others = values_of(job, words)
    argv, beam_flags = argv_of(job, values), _beam_flags(others)
    sys.argv[1:] = beam_flags  # which Beam reads by itself where it opens files, and takes no `--switch=true`
    if not any(word.startswith(f"--{_IMAGE}=") for word in beam_flags):
        raise WrongUse(
            f"--{_IMAGE} is missing: workers would run Beam's own image, which has no Todoke in it. Give the image of "
            "this template as sdkContainerImage of the launch's environment"
        )
    if not names_dataflow(beam_flags):
        raise WrongUse("--runner: a template is launched with DataflowRunner")
    if job == REALTIME:
        from beam_pipelines import realtime

        realtime.run([*argv, *beam_flags])
    else:
        from beam_pipelines import backfill_on_dataflow
        from todoke.sources import opened

        backfill_on_dataflow.run(argv, beam_flags, opened)


def _job(words: Sequence[str]) -> str:
    named = {word.removeprefix("--job=") for word in words if word.startswith("--job=")}
    if len(named) != 1 or not named <= set(JOBS):
        raise WrongUse(f"--job: expected one of {', '.join(JOBS)}; found {', '.join(sorted(named)) or 'nothing'}")
    [job] = named
    return job


def _beam_flags(words: Iterable[str]) -> list[str]:
    """Beam's options as Beam's parser takes them: a switch has no value there, and nothing is empty.

    What Beam does not know comes from the launcher, since Dataflow refuses parameters that a template does not have: it
    is logged and left out.

    Raises:
      WrongUse: an option has a value that cannot be.
    """
    from todoke.run import beam_parser

    parser = beam_parser()
    switches = {name for action in parser._actions if action.nargs == 0 for name in action.option_strings}
    found = [flag for word in words for flag in _beam_flag(word, switches)]
    try:
        unknown = parser.parse_known_args(found)[1]
    except argparse.ArgumentError as error:
        raise WrongUse(str(error)) from error
    if unknown:
        _log.warning("Beam knows none of these: %s", " ".join(unknown))
    return [flag for flag in found if flag not in unknown]


def _beam_flag(word: str, switches: AbstractSet[str]) -> list[str]:
    """A switch that is false becomes the contrary one, `--no_…`, where Beam has it."""
    name, sign, value = word.partition("=")
    if sign and not value:
        return []
    contrary = f"--{name.removeprefix('--no_')}" if name.startswith("--no_") else f"--no_{name.removeprefix('--')}"
    if not sign or not {name, contrary} & switches:
        return [word]
    if value.lower() not in ("true", "false"):
        raise WrongUse(f"{name}: expected true or false; found {value}")
    asked = name if value.lower() == "true" else contrary
    return [asked] if asked in switches else []
