"""Parameters of templates are the flags of the jobs, in words that the service takes, and are read back as flags."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_launched import VALUES

from beam_pipelines import backfill_options, options
from beam_pipelines.template_parameters import BACKFILL, JOBS, REALTIME, argv_of, parameters_of, values_of
from todoke.run import beam_parser
from todoke.template import main
from transforms.errors import WrongUse

#: What ERE of POSIX lacks.
PERL = re.compile(r"\(\?|\\[dwsbDWSB]|[*+?}]\?")


@pytest.mark.parametrize("job", JOBS)
def test_each_flag_is_a_parameter_or_only_for_this_machine_or_flink(job: str) -> None:
    parser = options.parser() if job == REALTIME else backfill_options.parser()
    flags = {action.option_strings[0] for action in parser._actions}
    known = {each.flag for each in parameters_of(job)} - {""}
    assert known <= flags
    here = {"-h", "--report", "--outbox", "--as-of", "--continue", "--variable", "--no-seed", "--otlp", "--restarts"}
    flink = {"--flink", "--parallelism", "--checkpoints"}
    assert flags - known - flink == (here | {"--supervised"} if job == REALTIME else {"-h", "--dead-letters"})


@pytest.mark.parametrize("job", JOBS)
def test_no_parameter_is_an_option_of_beam(job: str) -> None:
    beams = {name for action in beam_parser()._actions for name in action.option_strings}
    assert not {f"--{each.name}" for each in parameters_of(job)} & beams


@pytest.mark.parametrize("job", JOBS)
def test_regular_expressions_are_posix_and_fit_what_is_launched(job: str) -> None:
    for each in parameters_of(job):
        assert not PERL.search(each.regex), each.name
        value = VALUES[job].get(each.name, each.default)
        if each.regex and value:
            command = ["grep", "-E", f"^({each.regex})$"]
            done = subprocess.run(command, input=value, capture_output=True, text=True, check=False)
            assert done.stdout.strip() == value, each.name
        if each.choices and value:
            assert value in each.choices


@given(st.data())
def test_words_in_any_order_are_the_same_flags(data: st.DataObject) -> None:
    job = data.draw(st.sampled_from(JOBS))
    values = {"job": job, **VALUES[job]}
    needed = {"control_topic"}  # by seeds, which VALUES ask for
    optional = [each.name for each in parameters_of(job) if not each.needed and each.name not in needed]
    left_empty = data.draw(st.sets(st.sampled_from(optional)))
    words = [f"--{name}={'' if name in left_empty else value}" for name, value in values.items()]
    words += [f"--{name}=" for name in left_empty - values.keys()]
    shuffled = data.draw(st.permutations([*words, "--runner=DataflowRunner", "--labels={}"]))
    read, others = values_of(job, shuffled)
    assert set(others) == {"--runner=DataflowRunner", "--labels={}"}
    assert argv_of(job, read) == argv_of(job, {name: at for name, at in values.items() if name not in left_empty})


def test_what_parameters_mean() -> None:
    said = {
        "webhook": "true",
        "webhook_allow": "a.example.com, 10.0.0.0/8",
        "events": "pubsub:projects/p/subscriptions/s",
    }
    argv = argv_of(REALTIME, {"job": REALTIME, **VALUES[REALTIME], **said})
    assert "--webhook" in argv
    assert [word for word in argv if "allow" in word] == ["--webhook-allow=a.example.com", "--webhook-allow=10.0.0.0/8"]
    assert "--events=pubsub:projects/p/subscriptions/s" in argv
    assert "--control=pubsub:projects/proj-x/subscriptions/control" in argv
    assert "--variable=TODOKE_MAIL_FROM=Shop <shop@example.com>" in argv
    assert "--variable=TODOKE_SECRET_ERP=sm:projects/proj-x/secrets/erp/versions/3" in argv
    assert not any(word.startswith("--job") for word in argv)


WRONG = {
    "which": ({"job": "both"}, "--job: expected one of realtime, backfill; found both"),
    "secret": ({"smtp_password_secret": "hunter2"}, "TODOKE_SMTP_PASSWORD: expected projects/PROJECT/secrets"),
    "secrets": ({"secrets": "hunter2"}, "secrets: expected NAME=projects/P/secrets/S/versions/V"),
    "switch": ({"webhook": "yes"}, "webhook: expected true or false; found yes"),
    "switch_of_beam": ({"enable_streaming_engine": "maybe"}, "--enable_streaming_engine: expected true or false"),
    "store": ({"store": "sqlite:/tmp/x.db", "definitions": "todoke/demo/shop.yaml"}, "would be a worker's file"),
    "number": ({"disk_size_gb": "big"}, "invalid int value: 'big'"),
    "runner": ({"runner": "FnApiRunner"}, "--runner: a template is launched with DataflowRunner"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_ends_with_2_and_one_line(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["main.py"])
    values, cause = WRONG[case]
    options_ = {"job": REALTIME, "runner": "DataflowRunner", "sdk_container_image": "image", "log_format": "text"}
    assert main([f"--{name}={value}" for name, value in {**options_, **VALUES[REALTIME], **values}.items()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert cause in line
    assert "hunter2" not in line


def test_seeds_need_the_control_topic_of_the_job() -> None:
    values = {"job": BACKFILL, **VALUES[BACKFILL], "control_topic": ""}
    with pytest.raises(WrongUse, match="--control-topic: seeds of a job on Dataflow"):
        argv_of(BACKFILL, values)


def test_a_parameter_that_is_given_twice_is_refused() -> None:
    with pytest.raises(WrongUse, match="--store stands there twice"):
        values_of(BACKFILL, ["--store=bigtable:p/a", "--store=bigtable:p/b"])
    with pytest.raises(WrongUse, match="--store=VALUE"):
        values_of(BACKFILL, ["--store", "bigtable:p/a"])
