"""The flags of `todoke launch`, as one frozen record. Nothing here imports Beam, so that help is quick."""

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import msgspec

from beam_pipelines import backfill_options, options
from beam_pipelines.flag_words import Misread, names_of, read_flags
from beam_pipelines.schedule import check_schedule
from beam_pipelines.template_parameters import JOBS, REALTIME, Parameter, argv_of, parameters_of
from beam_pipelines.template_spec import LaunchPlace
from beam_pipelines.values import parsed
from beam_pipelines.variables import parse_variables
from transforms.channels.secret_manager import PREFIX
from transforms.channels.settings import SECRET_PREFIX
from transforms.errors import WrongUse
from transforms.events.plain import quoted
from transforms.segments.values import duration

__all__ = ["DATAFLOW", "Launch", "parse", "parser"]

#: The service.
DATAFLOW = "https://dataflow.googleapis.com"

# Dataflow's rule for names of jobs, how an image that stays the same is named, and a gs:// folder.
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_FOLDER = re.compile(r"gs://[a-z0-9][-a-z0-9_.]+(/[^\s]+)?")


class Launch(msgspec.Struct, frozen=True):
    """What is to be launched: parameters of the template by name, and `argv`, the job's flags that they mean.

    `wait` is how long a drain may take, in microseconds. `schedule` (cron) prints a job of Cloud Scheduler instead,
    which launches as the account `scheduler`.
    """

    job: str
    name: str
    place: LaunchPlace
    values: Mapping[str, str]
    argv: list[str]
    printed: bool = False
    update: bool = False
    drain_first: bool = False
    wait: int = 0
    renamed: Mapping[str, str] = {}
    schedule: str = ""
    scheduler: str = ""
    api: str = DATAFLOW


def parser() -> argparse.ArgumentParser:
    """The flags; all others are the job's."""
    flags = argparse.ArgumentParser(
        prog="todoke launch",
        allow_abbrev=False,
        description="Launch a job on Dataflow from its template.",
        epilog="Any other flag is the job's: see `todoke run --help` and `todoke backfill --help`.",
    )
    add = flags.add_argument
    add("job", choices=JOBS, metavar="JOB", help="realtime or backfill")
    add("--project", required=True, metavar="P", help="the project that the job runs in")
    add("--region", required=True, metavar="R", help="the region, such as europe-west1")
    add("--image", required=True, metavar="IMAGE", help="the image of launcher and workers, by its digest")
    add("--staging", required=True, metavar="URL", help="gs://BUCKET/FOLDER for what a job stages")
    add("--template", default="", metavar="URL", help="gs://… of a spec file (default: the spec goes with the launch)")
    add("--name", metavar="NAME", help="the job's name, one at a time in a region (default: todoke-JOB)")
    add("--service-account", default="", metavar="EMAIL", help="whose rights launcher and workers have")
    add("--subnetwork", default="", metavar="PATH", help="regions/R/subnetworks/S")
    add("--private", action="store_true", help="workers without addresses of their own")
    add("--machine-type", default="", metavar="TYPE", help="of workers")
    add("--workers", type=int, default=0, metavar="N", help="at the start")
    add("--max-workers", type=int, default=0, metavar="N", help="at most")
    add("--label", action="append", default=[], metavar="KEY=VALUE", help="a label of the job; may be repeated")
    add("--update", action="store_true", help="replace the running job of that name; its state goes on")
    add("--renamed", metavar="JSON", help='with --update: {"old step": "new step"}')
    add("--drain-first", action="store_true", help="drain the running job of that name, then launch")
    add("--wait", default="30m", metavar="DURATION", help="how long a drain may take (default: 30m)")
    add("--schedule", default="", metavar="CRON", help="with --print: a job of Cloud Scheduler that launches, in UTC")
    add("--scheduler-account", default="", metavar="EMAIL", help="with --schedule: whose rights launch")
    add("--print", dest="printed", action="store_true", help="show the request as JSON, and stop; asks nobody")
    add("--api", default=DATAFLOW, metavar="URL", help=argparse.SUPPRESS)
    return flags


def parse(argv: list[str]) -> Launch:
    """What was asked.

    Raises:
      Misread: for flags that cannot be read.
      WrongUse: for values that cannot be.
    """
    own = parser()
    own.error = _misread  # type: ignore[method-assign]
    said, rest = own.parse_known_args(argv)
    values = _values(said.job, rest, [name for action in own._actions for name in action.option_strings])
    name = said.name or f"todoke-{said.job}"
    _check(said, name)
    job_argv = argv_of(said.job, {"job": said.job, **values})
    (options if said.job == REALTIME else backfill_options).check_words(job_argv)
    place = LaunchPlace(
        project=said.project,
        region=said.region,
        image=said.image,
        staging=said.staging.rstrip("/"),
        template=said.template,
        service_account=said.service_account,
        subnetwork=said.subnetwork,
        machine_type=said.machine_type,
        workers=said.workers,
        max_workers=said.max_workers,
        labels=dict(_label(each) for each in said.label),
        private=said.private,
    )
    return Launch(
        said.job,
        name,
        place,
        values,
        job_argv,
        printed=said.printed,
        update=said.update,
        drain_first=said.drain_first,
        wait=parsed("--wait", duration, said.wait),
        renamed={} if said.renamed is None else _renamed(said.renamed),
        schedule=said.schedule,
        scheduler=said.scheduler_account,
        api=said.api.rstrip("/"),
    )


def _misread(message: str) -> NoReturn:
    raise Misread(message)


def _check(said: argparse.Namespace, name: str) -> None:
    if not _JOB_NAME.fullmatch(name):
        raise WrongUse(f"--name: expected small letters, digits and dashes; found {quoted(name)}")
    if not _FOLDER.fullmatch(said.staging):
        raise WrongUse(f"--staging: expected gs://BUCKET/FOLDER; found {quoted(said.staging)}")
    if not _DIGEST.search(said.image):
        raise WrongUse(
            f"--image: expected …@sha256:… of an image; found {quoted(said.image)}. A tag may be moved while workers "
            "are added, and then two versions share one job"
        )
    if said.update and said.drain_first:
        raise WrongUse("--update, --drain-first: an update takes the running job's state over, a drain ends it")
    if said.renamed is not None and not said.update:
        raise WrongUse("--renamed goes with --update")
    if said.schedule and not said.printed:
        raise WrongUse("--schedule goes with --print: give what it shows to Cloud Scheduler")
    if said.job != REALTIME and (said.update or said.drain_first):
        raise WrongUse("--update, --drain-first: a backfill ends by itself")
    if bool(said.schedule) is not bool(said.scheduler_account):
        raise WrongUse(
            "--schedule and --scheduler-account go together: Cloud Scheduler launches by the one, as the other"
        )
    if said.schedule:
        check_schedule(said.schedule)


def _values(job: str, rest: list[str], of_launch: Sequence[str]) -> dict[str, str]:
    """The parameters of the template that the flags of a job mean; those of the launch may be meant by a typo.

    Raises:
      Misread, WrongUse: they mean none.
    """
    module = options if job == REALTIME else backfill_options
    named = module.parser()
    named.set_defaults(log_format="json")  # the template's: else `text` would be taken for what nobody said
    known = parameters_of(job)
    _check_no_variable(known, rest)
    given, beam_flags = read_flags(named, rest, of_launch)
    if beam_flags:
        raise WrongUse(
            f"{' '.join(names_of(beam_flags))}: no parameter of this template; `todoke launch --help` lists the flags"
        )
    variables = dict(parse_variables(getattr(given, "variable", ())))
    values: dict[str, str] = {}
    for each in known:
        if each.flag:
            said = getattr(given, each.name)
            if said is not None and (each.needed or said != named.get_default(each.name)):
                values[each.name] = _value(each, said)
        elif each.variable == SECRET_PREFIX:
            secrets = [name for name in variables if name.startswith(SECRET_PREFIX)]
            values[each.name] = ",".join(
                f"{name.removeprefix(SECRET_PREFIX)}={variables.pop(name)}" for name in secrets
            )
        elif each.variable:
            values[each.name] = variables.pop(each.variable, "").removeprefix(PREFIX if each.secret else "")
        if (value := values.get(each.name)) and each.regex and not re.fullmatch(each.regex, value):
            # An address with an account in it has a password there too.
            found = "one with an account in it" if "://" in value and "@" in value else quoted(value)
            raise WrongUse(f"--{each.name.replace('_', '-')}: expected {each.form}; found {found}")
    _check_left_out(job, given, named, {each.name for each in known})
    return {name: value for name, value in values.items() if value}


def _check_no_variable(known: Iterable[Parameter], words: Iterable[str]) -> None:
    """Parameters of the template that are no flags of a job. The text has no value: it may be a secret."""
    variables = {f"--{each.name.replace('_', '-')}": each for each in known if each.variable}
    for word in words:
        name = word.partition("=")[0].replace("_", "-")
        if (each := variables.get(name)) is not None:
            variable = f"{each.variable}NAME" if each.variable == SECRET_PREFIX else each.variable
            value = f"{PREFIX}projects/P/secrets/S/versions/V" if each.secret else "VALUE"
            raise WrongUse(f"{name}: no flag of a launch: write --variable {variable}={value}")


def _check_left_out(job: str, given: argparse.Namespace, named: argparse.ArgumentParser, known: set[str]) -> None:
    """Flags that mean something on the machine where they are said, and nothing for a worker."""
    for action in named._actions:
        name = action.option_strings[0].removeprefix("--").replace("-", "_")
        if name not in known | {"variable", "_h"} and getattr(given, action.dest, None) != action.default:
            raise WrongUse(f"{action.option_strings[0]}: the template of {job} has no such parameter")


def _value(parameter: Parameter, said: object) -> str:
    if said is True:
        return "true"
    if isinstance(said, float):
        return f"{said:.0f}" if said.is_integer() else str(said)
    if parameter.kind.startswith("PUBSUB_"):  # the console's own form
        return str(said).removeprefix("pubsub:")
    return ",".join(said) if isinstance(said, list) else str(said)


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise WrongUse(f"--label: expected KEY=VALUE; found {quoted(text)}")
    return key, value


def _renamed(text: str) -> Mapping[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise WrongUse('--renamed: expected JSON such as {"old step": "new step"}')
    return found
