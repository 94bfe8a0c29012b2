"""Nothing secret travels in a job's graph: who may look at the job may not send in our name."""

import os
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from graphs import carried

from beam_pipelines.options import parse
from beam_pipelines.realtime import build, launch_options
from transforms.channels.email.settings import SMTP_PASSWORD, SMTP_USER
from transforms.channels.line.settings import LINE_TOKEN
from transforms.channels.sms.settings import SMS_TOKEN
from transforms.channels.webhook.settings import WEBHOOK_SECRET
from transforms.errors import WrongUse

SECRETS = {
    "TODOKE_UNSUBSCRIBE_SECRET": "forge-no-links-7731",
    SMTP_PASSWORD: "mail-password-7732",
    LINE_TOKEN: "line-token-7733",
    SMS_TOKEN: "sms-token-7737",
    WEBHOOK_SECRET: "whsec_c2lnbi1uby1jYWxscy03NzM0",
    "TODOKE_SECRET_CRM": "crm-key-7735",
}
OTHERS = {
    "TODOKE_MAIL_FROM": "Shop <shop@example.com>",
    "TODOKE_UNSUBSCRIBE_URL": "https://shop.example.com/unsubscribe",
    SMTP_USER: "shop",
}
DEFINITIONS = """\
campaigns:
  hello: {owner: a, trigger: {event: Seen}, reenter: never, consent: n, steps: [{send: [crm, mail, chat]}]}
messages:
  crm: {channel: webhook, url: "https://crm.example.com/", headers: {authorization: "{{ secrets.CRM }}"}, body: "{}"}
  mail: {channel: email, subject: Hi, text: Hello}
  chat: {channel: line, text: Hello}
"""
DATAFLOW = (
    *("--runner=DataflowRunner", "--dry_run=True", "--no_auth", "--streaming", "--project=proj-x"),
    *(
        "--region=us-central1",
        "--sdk_location=container",
        "--sdk_container_image=todoke",
        "--temp_location=gs://bucket/t",
    ),
)
LIVE = (
    *("--events=pubsub:projects/proj-x/subscriptions/events", "--store=bigtable:proj-x/todoke"),
    *(
        "--control=pubsub:projects/proj-x/subscriptions/control",
        "--control-topic=pubsub:projects/proj-x/topics/control",
    ),
    "--dead-letters=pubsub:projects/proj-x/topics/dead-letters",
)


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each channel is named, each secret is set."""
    for name, value in {**SECRETS, **OTHERS}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "d.yaml").write_text(DEFINITIONS, encoding="utf-8")
    (tmp_path / "e.jsonl").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return [
        "--definitions=d.yaml",
        "--push=fcm:proj-x@http://127.0.0.1:9",
        "--line=line",
        "--sms=twilio:AC1",
        "--webhook",
    ]


def test_dataflows_graph_has_no_secrets(flags: list[str]) -> None:
    config, _, beam_flags = parse([*flags, *LIVE, "--email=smtps://mail.example.com:465", *DATAFLOW])
    pipeline = beam.Pipeline(options=launch_options(beam_flags))
    build(pipeline, config)
    found = carried(pipeline.to_runner_api())
    assert b"mail.example.com" in found  # what is packed is found
    assert [name for name, value in SECRETS.items() if value.encode() in found] == []


@pytest.mark.parametrize("password", ["mail-password-7732", "p%40ss%2Fword-7736"])
def test_a_graph_on_this_machine_has_no_secrets_though_a_url_had_one(flags: list[str], password: str) -> None:
    config, _, _ = parse(
        [*flags, "--events=e.jsonl", "--store=sqlite:u.db", f"--email=smtp://me:{password}@127.0.0.1:2525"]
    )
    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"]))
    build(pipeline, config)
    found = carried(pipeline.to_runner_api())
    assert b"smtp://127.0.0.1:2525" in found
    hidden = [*SECRETS.values(), password, "p@ss/word-7736"]
    assert [value for value in hidden if value.encode() in found] == []


def test_the_password_of_a_url_is_used_nevertheless(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse([*flags, "--events=e.jsonl", "--store=none", "--email=smtp://me:p%40ss@localhost:2525"])
    assert (os.environ[SMTP_USER], os.environ[SMTP_PASSWORD]) == ("me", "p@ss")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_for_another_machine_is_refused_and_not_shown(flags: list[str], scheme: str) -> None:
    with pytest.raises(WrongUse, match=SMTP_PASSWORD) as refused:
        parse([*flags, "--events=e.jsonl", "--store=none", f"--email={scheme}://me:hunter2@mail.example.com:465"])
    assert "hunter2" not in str(refused.value)


def test_secrets_may_be_in_files(flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        monkeypatch.setenv(name, f"file:{tmp_path / name}")
    argv = [*flags, "--events=e.jsonl", "--store=none", "--email=smtps://mail.example.com:465"]
    assert parse(argv)[0].told["email"] == ("smtps://mail.example.com:465",)
    for name in SECRETS:
        monkeypatch.setenv(name, "file:/nowhere/secret")
        with pytest.raises(WrongUse, match=f"{name}: /nowhere/secret cannot be read"):
            parse(argv)
        monkeypatch.setenv(name, f"file:{tmp_path / name}")


def test_secrets_of_workers_are_not_read_where_they_are_launched(
    flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher's account need not have the right, and the file is on the worker."""
    for name in SECRETS:
        monkeypatch.delenv(name)
    places = dict.fromkeys(SECRETS, "sm:projects/proj-x/secrets/s/versions/1") | {SMTP_PASSWORD: "file:/on/worker"}
    said = [f"--variable={name}={place}" for name, place in places.items()]
    config, _, _ = parse([*flags, *LIVE, "--email=smtps://mail.example.com:465", *said, *DATAFLOW])
    assert config.variables == places


@pytest.mark.parametrize(
    ("name", "wrong"), [("TODOKE_MAIL_FROM", "Shop"), ("TODOKE_UNSUBSCRIBE_URL", "shop.example.com/unsubscribe")]
)
@pytest.mark.parametrize("where", ["environment", "launch"])
def test_what_mails_cannot_be_sent_with_is_refused_at_the_launch(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, name: str, wrong: str, where: str
) -> None:
    if where == "environment":
        monkeypatch.setenv(name, wrong)
    more = [f"--variable={name}={wrong}"] if where == "launch" else []
    with pytest.raises(WrongUse, match=f"{name} must be like"):
        parse([*flags, *LIVE, "--email=smtps://mail.example.com:465", *more, *DATAFLOW])
