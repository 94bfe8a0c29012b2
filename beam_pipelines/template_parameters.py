"""The parameters of Dataflow's templates, made of the flags of the jobs, and back. Nothing here imports Beam.

A launcher gives each parameter as `--name=value`, in any order, and empty ones too. Names have `_` where flags have
`-`.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from beam_pipelines import backfill_options, options
from beam_pipelines.variables import plain_variables, secret_variables
from transforms.channels.secret_manager import PREFIX
from transforms.channels.settings import SECRET_PREFIX
from transforms.errors import WrongUse
from transforms.identity.channels import channels

__all__ = ["BACKFILL", "JOBS", "REALTIME", "Parameter", "argv_of", "parameters_of", "values_of"]

REALTIME, BACKFILL = "realtime", "backfill"
JOBS = (REALTIME, BACKFILL)

#: Flags that say where a file lies or what this machine does, which a worker has neither of; and flags of Flink.
_FLINK = {"flink", "parallelism", "checkpoints"}
_LEFT_OUT = {
    REALTIME: _FLINK
    | {"help", "as_of", "continued", "outbox", "variable", "report", "seed", "otlp", "restarts", "supervised"},
    BACKFILL: _FLINK | {"help", "dead_letters"},
}
_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)"
_TIMES = f"(now|today)(-[1-9][0-9]*[smhdw])?|{_TIME}"
_SUBSCRIPTION = "(pubsub:)?projects/[^/]+/subscriptions/[^/]+"
_TOPIC = "(pubsub:)?projects/[^/]+/topics/[^/]+"
_VERSION = "projects/[^/,]+/secrets/[^/,]+/versions/([1-9][0-9]*|latest)"
_TIME_FORM = "a time with a zone, such as 2026-07-01T00:00:00Z"
_SUBSCRIPTION_FORM, _TOPIC_FORM = "pubsub:projects/P/subscriptions/S", "pubsub:projects/P/topics/T"
_SECRET_FORM = f"{PREFIX}projects/P/secrets/S/versions/V"
#: What a flag's parser does not say: the kind of a parameter, as Dataflow's console knows it, a POSIX extended regular
#: expression for what it may be, and the same in words.
_KINDS: Mapping[str, tuple[str, str, str]] = {
    "definitions": ("GCS_READ_FILE", r"gs://[^/]+/.+\.json", "gs://BUCKET/PATH.json, which `todoke publish` writes"),
    "store": ("TEXT", "bigtable:[^/]+/[^/]+", "bigtable:PROJECT/INSTANCE"),
    "control": ("PUBSUB_SUBSCRIPTION", _SUBSCRIPTION, _SUBSCRIPTION_FORM),
    "control_topic": ("PUBSUB_TOPIC", _TOPIC, _TOPIC_FORM),
    "dead_letters": ("PUBSUB_TOPIC", _TOPIC, _TOPIC_FORM),
    "keep_dead_letters": ("TEXT", "0|[1-9][0-9]*[smhdw]", "a duration such as 30d, or 0"),
    "push": ("TEXT", "fcm:[a-z][-a-z0-9]+", "fcm:PROJECT"),
    "email": ("TEXT", "smtps?://[^@/]+:[0-9]+", "smtps://HOST:PORT, or smtp://HOST:PORT"),
    "line": ("TEXT", "line", "line"),
    "sms": ("TEXT", "twilio:AC[0-9A-Za-z]+|https://[^/@]+(/.*)?", "twilio:ACCOUNT, or https://HOST/PATH"),
    "webhook_allow": ("TEXT", "[^,]+(,[^,]+)*", "hosts with commas between them"),
    "as_of": ("TEXT", _TIMES, f"{_TIME_FORM}, or now, now-1h, today, today-1d"),
    "out": ("GCS_WRITE_FOLDER", "gs://[^/]+/.+", "gs://BUCKET/FOLDER"),
    "report": ("GCS_WRITE_FILE", "gs://[^/]+/.+", "gs://BUCKET/PATH"),
    "activation": ("TEXT", _TIME, _TIME_FORM),
    "query_limit": ("NUMBER", "[1-9][0-9]*", "a whole number above 0"),
    "rate": ("NUMBER", r"[0-9]+(\.[0-9]+)?", "a number"),
}
_BIGQUERY = r"bigquery:(gs://[^/]+/.+\.sql|[^./]+(\.[^./]+)?\.[A-Za-z0-9_]+\.[^./]+)"
_EVENTS = {
    REALTIME: ("PUBSUB_SUBSCRIPTION", _SUBSCRIPTION, _SUBSCRIPTION_FORM),
    BACKFILL: (
        "TEXT",
        f"gs://[^/]+/.+|{_BIGQUERY}|store",
        "gs://BUCKET/PATTERN, bigquery:PROJECT.DATASET.TABLE, bigquery:gs://BUCKET/FILE.sql, or store",
    ),
}
#: What a template takes of more that a flag does.
_HELP = {
    "definitions": "a pointer to definitions in a bucket, as `todoke publish` writes it",
    "store": "bigtable:PROJECT/INSTANCE",
    "dead_letters": "projects/P/topics/T, which gets what cannot be read",
    "log_format": "the form of the log: json (default), one object a line, or text",
    "email": "smtps://HOST:PORT, or smtp://HOST:PORT",
    "push": "fcm:PROJECT, whose app in Firebase gets pushes",
    "line": "line",
    "sms": "twilio:ACCOUNT, or https://HOST/PATH of a provider that takes JSON",
}
#: What a template says of parameters that only one job has so.
_HELP_OF: Mapping[str, Mapping[str, str]] = {
    REALTIME: {
        "events": "projects/P/subscriptions/S, whose messages are calls",
        "control_topic": "projects/P/topics/T, to which the job itself publishes what `control` reads",
    },
    BACKFILL: {
        "events": "files of JSON Lines, Parquet or Avro, by a path or pattern; bigquery:PROJECT.DATASET.TABLE, or "
        "bigquery:gs://BUCKET/FILE.sql with a query; seeds: `store` for the archive of the store",
        "control_topic": "seeds: the running job's projects/P/topics/T, which must be given then",
        "write": "seeds: what new conditions missed, for users of a live job; users: whole users into an empty store "
        "that no live job uses, and then `events` and `as_of` must be given, too; memberships: who is in which "
        "segment, as Parquet in `out`; audit: whether the members of the store are those of its archive; "
        "recommendations: which products go together, for messages",
    },
}
#: What a job elsewhere needs, beside what its parser asks for.
_NEEDED: Mapping[str, set[str]] = {
    REALTIME: {"control", "control_topic", "dead_letters"},
    BACKFILL: {"write", "store"},
}
_WORDS = {"id": "ID", "smtp": "SMTP", "url": "URL", "sms": "SMS", "line": "LINE"}


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a template, and what it is for the job.

    `flag` is the job's; empty where the parameter stands for a `variable` of the environment, or for both neither.
    `kind` is Dataflow's word for what it is, `regex` a POSIX extended regular expression without anchors, `form` the
    same in words. `needed`: it must be given. A `switch` is `true` or `false`. `repeated`: commas stand between values.
    Of a `secret` the parameter says only which version of which secret of Secret Manager holds it.
    """

    name: str
    help: str
    group: str
    flag: str = ""
    variable: str = ""
    kind: str = "TEXT"
    regex: str = ""
    form: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    needed: bool = False
    switch: bool = False
    repeated: bool = False
    secret: bool = False

    @property
    def label(self) -> str:
        """Its name as words."""
        first, *others = (_WORDS.get(word, word) for word in self.name.split("_"))
        return " ".join([first[0].upper() + first[1:], *others])


def _sentence(text: str) -> str:
    """A help text as a sentence; what it begins with keeps its letters where it is to be written so."""
    word = text.partition(" ")[0].rstrip(",.:;")
    return f"{text[:1].upper()}{text[1:]}." if word.isalpha() and word != "line" else f"{text}."


def parameters_of(job: str) -> list[Parameter]:
    """The parameters of a job's template."""
    parser = options.parser() if job == REALTIME else backfill_options.parser()
    which = Parameter(
        "job",
        "What the image launches: it holds all jobs, and a template is for one.",
        "Job",
        kind="ENUM",
        choices=(job,),
        default=job,
        needed=True,
    )
    flags = [_of_flag(job, action) for action in parser._actions if action.dest not in _LEFT_OUT[job]]
    return [which, *flags, *(_variables() if job == REALTIME else ())]


def _of_flag(job: str, action: argparse.Action) -> Parameter:
    name = action.option_strings[0].removeprefix("--").replace("-", "_")
    kind, regex, form = _EVENTS[job] if name == "events" else _KINDS.get(name, ("TEXT", "", ""))
    switch = action.nargs == 0
    choices = ("true", "false") if switch else tuple(str(each) for each in action.choices or ())
    help_text = _HELP_OF[job].get(name) or _HELP.get(name) or (action.help or "").replace("%%", "%")
    repeated = isinstance(action, argparse._AppendAction)
    if repeated:
        help_text = help_text.replace("; may be repeated", "; commas stand between several")
    return Parameter(
        name,
        _sentence(help_text),
        _group(name, action),
        flag=action.option_strings[0],
        kind="BOOLEAN" if switch else "ENUM" if choices else kind,
        regex=regex,
        form=form,
        default="" if name in _NEEDED[job] else "json" if name == "log_format" else _default(action),
        choices=choices,
        needed=bool(action.required) or name in _NEEDED[job],
        switch=switch,
        repeated=repeated,
    )


def _group(name: str, action: argparse.Action) -> str:
    if name.partition("_")[0] in channels():
        return "Channels"
    title: str = action.container.title  # type: ignore[attr-defined]
    return {"live jobs": "Job", "options": "Job"}.get(title, title.capitalize())


def _default(action: argparse.Action) -> str:
    if action.nargs == 0:
        return "false"
    if action.default is None or action.default == []:
        return ""
    return f"{action.default:g}" if isinstance(action.default, float) else str(action.default)


def _variables() -> Iterator[Parameter]:
    """What channels take from the environment, which a launch cannot set."""
    for name in plain_variables():
        yield Parameter(_named(name), f"For workers, in place of the variable {name}.", "Channels", variable=name)
    for name in secret_variables():
        yield Parameter(
            f"{_named(name).removesuffix('_secret')}_secret",
            f"Where {name} lies: projects/P/secrets/S/versions/V of Secret Manager. The secret itself is no parameter.",
            "Secrets",
            variable=name,
            regex=f"({PREFIX})?{_VERSION}",
            form=_SECRET_FORM,
            secret=True,
        )
    each = f"[A-Za-z_][A-Za-z0-9_]*=({PREFIX})?{_VERSION}"
    yield Parameter(
        "secrets",
        f"What templates of webhooks name as secrets.NAME ({SECRET_PREFIX}NAME): "
        "NAME=projects/P/secrets/S/versions/V, with commas between several.",
        "Secrets",
        variable=SECRET_PREFIX,
        regex=f"{each}(,{each})*",
        form=f"NAME={_SECRET_FORM}",
        repeated=True,
        secret=True,
    )


def _named(variable: str) -> str:
    return variable.removeprefix("TODOKE_").lower()


def argv_of(job: str, values: Mapping[str, str]) -> list[str]:
    """The flags of a job, each as `--name=value`, for the values of parameters by name; empty ones are not given.

    Raises:
      WrongUse: one that the job needs is missing, or a value cannot be.
    """
    known = parameters_of(job)
    missing = [each.name for each in known if each.needed and not values.get(each.name)]
    if missing:
        raise WrongUse(f"template {job}: give the parameter {', '.join(missing)}")
    if job == BACKFILL and values.get("write") == "seeds" and not values.get("control_topic"):
        raise WrongUse(
            "--control-topic: seeds of a job on Dataflow go to its control topic: nobody reads the table there"
        )
    return [word for each in known if (value := values.get(each.name)) for word in _words(each, value)]


def values_of(job: str, words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The values of a job's parameters in the words of a launcher, and its other words.

    Raises:
      WrongUse: a parameter has no value, or stands there twice.
    """
    names = {each.name for each in parameters_of(job)}
    values: dict[str, str] = {}
    others = []
    for word in words:
        name, sign, value = word.removeprefix("--").partition("=")
        if name not in names or not word.startswith("--"):
            others.append(word)
        elif not sign:
            raise WrongUse(f"--{name}: a launcher gives parameters as --{name}=VALUE")
        elif values.setdefault(name, value) != value:
            raise WrongUse(f"--{name} stands there twice")
    return values, others


def _words(parameter: Parameter, value: str) -> Sequence[str]:
    if parameter.switch:
        if value.lower() not in ("true", "false"):
            raise WrongUse(f"{parameter.name}: expected true or false; found {value}")
        return [parameter.flag] if value.lower() == "true" else []
    parts = [part.strip() for part in value.split(",")] if parameter.repeated else [value]
    if parameter.variable == SECRET_PREFIX:
        if not all(name and sign for name, sign, _ in (part.partition("=") for part in parts)):
            raise WrongUse(
                f"{parameter.name}: expected NAME=projects/P/secrets/S/versions/V, with commas between several"
            )
        return [
            f"--variable={SECRET_PREFIX}{name}={_place(at)}" for name, _, at in (part.partition("=") for part in parts)
        ]
    if parameter.variable:
        return [f"--variable={parameter.variable}={_place(value) if parameter.secret else value}"]
    if parameter.kind.startswith("PUBSUB_"):  # the console's own form
        parts = [part if part.startswith("pubsub:") else f"pubsub:{part}" for part in parts]
    return [f"{parameter.flag}={part}" for part in parts] if parameter.flag else []


def _place(name: str) -> str:
    return name if name.startswith((PREFIX, "file:")) else f"{PREFIX}{name}"
