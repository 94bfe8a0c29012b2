"""What is logged is a line for people and an object for programs, and a worker's runner gets both in one text."""

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from typing import Any

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2
from apache_beam.runners.worker.log_handler import FnApiLogRecordHandler
from hypothesis import given
from hypothesis import strategies as st

from todoke.boundary import Manner
from transforms.logs import JsonLines, WithFields, fields, show_fields, write_log

VALUES = st.none() | st.booleans() | st.integers() | st.text()


@contextmanager
def written(form: str, *, job: str = "shop", debug: bool = False) -> Iterator[io.StringIO]:
    """Standard error while a log is written to it."""
    with redirect_stderr(io.StringIO()) as error, write_log(form, job=job, debug=debug):
        yield error


@given(st.text(), st.dictionaries(st.sampled_from(["campaign", "channel", "reason", "waiting"]), VALUES))
def test_a_record_is_one_line_whatever_is_in_it(text: str, about: dict[str, Any]) -> None:
    record = logging.LogRecord("transforms.channels", logging.WARNING, "p", 1, "%s", (text,), None)
    record.fields = about
    line = JsonLines("shop").format(record)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "severity": "WARNING",
        "message": text,
        "logger": "transforms.channels",
        "job": "shop",
        **about,
    }


def test_lines_name_what_they_are_about() -> None:
    with written("json", job="shop-live") as error:
        logging.getLogger("transforms.channels.held_up").warning(
            "push refuses: %s", "a\nb\x1b[31m\u2028c", extra=fields(campaign="hello", channel="push", reason="connect")
        )
        try:
            raise ValueError("of\nthree\nlines")
        except ValueError:
            logging.getLogger("transforms.users.bundle").exception("set aside", extra=fields(reason="internal"))
    refused, aside = map(json.loads, error.getvalue().splitlines())
    assert refused["message"] == "push refuses: a\nb\x1b[31m\u2028c"
    assert {name: refused[name] for name in ("job", "campaign", "channel", "reason", "severity")} == {
        "job": "shop-live",
        "campaign": "hello",
        "channel": "push",
        "reason": "connect",
        "severity": "WARNING",
    }
    assert aside["traceback"].endswith("ValueError: of\nthree\nlines")


def test_text_shows_no_fields_and_ends_with_the_context() -> None:
    log = logging.getLogger("transforms.channels.held_up")
    with written("text") as error:
        log.warning("push refuses", extra=fields(channel="push"))
        logging.getLogger("todoke.live").info("read %d", 3)
    log.warning("after it")
    assert error.getvalue() == "todoke: push refuses\ntodoke: read 3\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_others_are_shown_with_debug_alone(form: str) -> None:
    for debug in (False, True):
        with written(form, debug=debug) as error:
            logging.getLogger("apache_beam.runners.worker").warning("noise")
        assert ("noise" in error.getvalue()) is debug
    assert error.getvalue().startswith("WARNING:apache_beam.runners.worker:noise" if form == "text" else "{")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_channel_of_another_package_warns_of_is_shown(form: str) -> None:
    log = logging.getLogger("acme_gateway.transport")
    before, _ = log.level, log.setLevel(logging.INFO)
    try:
        with written(form) as error:
            log.info("connected")
            log.warning("the gateway refuses", extra=fields(channel="acme"))
            for noisy in ("urllib3.connectionpool", "PrismRunner", "SdkWorker@job-001"):
                logging.getLogger(noisy).error("noise")
    finally:
        log.setLevel(before)
    (line,) = error.getvalue().splitlines()
    assert line == "todoke: the gateway refuses" if form == "text" else json.loads(line)["channel"] == "acme"


def test_warnings_and_threads_that_die_are_objects_too() -> None:
    def die() -> None:
        raise LookupError("gone")

    with written("json") as error, warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        dying = threading.Thread(target=die, name="definitions")
        dying.start()
        dying.join()
    warned, died = map(json.loads, error.getvalue().splitlines())
    assert "DeprecationWarning: old" in warned["message"]
    assert died["message"] == "definitions died"
    assert died["traceback"].endswith("LookupError: gone")


class Collected(beam_fn_api_pb2_grpc.BeamFnLoggingServicer):  # type: ignore[misc]
    """A runner's end of a worker's log."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def Logging(self, batches: Any, context: Any) -> Iterator[Any]:
        for batch in batches:
            self.messages += [entry.message for entry in batch.log_entries]
        yield beam_fn_api_pb2.LogControl()


def test_a_worker_hands_fields_to_its_runner() -> None:
    collected, server = Collected(), grpc.server(ThreadPoolExecutor(2))
    beam_fn_api_pb2_grpc.add_BeamFnLoggingServicer_to_server(collected, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    root = logging.getLogger()
    styled = [handler.formatter for handler in root.handlers]
    handler = FnApiLogRecordHandler(endpoints_pb2.ApiServiceDescriptor(url=f"127.0.0.1:{port}"))
    root.addHandler(handler)
    try:
        show_fields()
        log = logging.getLogger("transforms.channels.held_up")
        log.warning("push refuses", extra=fields(channel="push", reason="connect"))
        logging.getLogger("apache_beam").warning("as ever")
    finally:
        root.removeHandler(handler)
        handler.close()
        server.stop(None).wait()
    assert isinstance(handler.formatter, WithFields)
    assert [each.formatter for each in root.handlers] == styled
    assert collected.messages == ['push refuses {"channel": "push", "reason": "connect"}', "as ever"]


@pytest.mark.parametrize(
    ("words", "form", "job"),
    [
        (["run", "--store", "none"], "text", "run"),
        (["run", "--log-format", "json"], "json", "run"),
        (["backfill", "--log-format=json", "--job_name=past"], "json", "past"),
        (["run", "--job_name", "shop", "--log-format", "text"], "text", "shop"),
        ([], "text", "todoke"),
    ],
)
def test_the_words_of_a_command_say_the_manner(words: list[str], form: str, job: str) -> None:
    manner = Manner(words)
    assert manner.form == form
    with redirect_stderr(io.StringIO()) as error, manner.logs():
        logging.getLogger("todoke").warning("here")
    assert (f'"job": "{job}"' in error.getvalue()) is (form == "json")
