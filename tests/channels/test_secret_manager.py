"""Secrets by name: read from Secret Manager where they are used, and never shown."""

import base64
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from beam_pipelines.variables import parse_variables
from transforms.channels.channel import Opening
from transforms.channels.destinations import Channels
from transforms.channels.email.transport import Mail
from transforms.channels.secret_manager import EMULATOR, read_secret
from transforms.channels.settings import MailSettings, secret_of, secrets_for
from transforms.errors import WrongUse

NAME = "projects/proj-x/secrets/{}/versions/{}"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a server that speaks Secret Manager's API holds, by name; an int is the status of a refusal."""
    held: dict[str, Any] = {"asked": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/v1/").partition("?")[0].removesuffix(":access")
            held["asked"].append(name)
            found = held.get(name, 404)
            status = found if isinstance(found, int) else 200
            answer: dict[str, Any] = {"error": {"code": status, "message": "not for you"}}
            if status == 200:
                answer = {"name": name, "payload": {"data": base64.b64encode(found).decode()}}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(EMULATOR, f"127.0.0.1:{server.server_address[1]}")
    read_secret.cache_clear()
    yield held
    server.shutdown()
    server.server_close()
    read_secret.cache_clear()


def test_a_secret_is_read_by_its_name_and_once(manager: dict[str, Any]) -> None:
    name = NAME.format("line", 3)
    manager[name] = b"  token-of-line\n"
    environment = {"TODOKE_LINE_TOKEN": f"sm:{name}"}
    assert [secret_of(environment, "TODOKE_LINE_TOKEN") for _ in range(3)] == ["token-of-line"] * 3
    assert manager["asked"] == [name]


@pytest.mark.parametrize(
    ("held", "cause"),
    [(404, "cannot be read: .*not for you"), (403, "cannot be read: .*not for you"), (b"\xff\xfe", "is no text")],
)
def test_a_secret_that_cannot_be_read_says_which_and_is_asked_for_again(
    manager: dict[str, Any], held: Any, cause: str
) -> None:
    name = NAME.format("sms", "latest")
    manager[name] = held
    for _ in range(2):
        with pytest.raises(ValueError, match=f"TODOKE_SMS_TOKEN: the secret .{name}. {cause}"):
            secret_of({"TODOKE_SMS_TOKEN": f"sm:{name}"}, "TODOKE_SMS_TOKEN")
    assert manager["asked"] == [name, name]


@pytest.mark.parametrize("wrong", ["hunter2", NAME.format("a", 0), NAME.format("a b", 1), "projects/p/secrets/s"])
def test_what_is_no_name_is_not_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected projects/PROJECT/secrets/SECRET/versions/VERSION") as refused:
        read_secret(wrong)
    assert wrong not in str(refused.value)


def test_workers_take_what_the_launch_said_over_their_own_environment(
    manager: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager[NAME.format("smtp", 1)] = b"mail-password"
    manager[NAME.format("links", 1)] = b"signs links"
    manager[NAME.format("crm", 7)] = b"key of the crm"
    monkeypatch.setenv("TODOKE_MAIL_FROM", "Old <old@example.com>")
    monkeypatch.setenv("TODOKE_SMTP_USER", "shop")
    said = [
        "TODOKE_MAIL_FROM=Shop <shop@example.com>",
        f"TODOKE_SMTP_PASSWORD=sm:{NAME.format('smtp', 1)}",
        f"TODOKE_UNSUBSCRIBE_SECRET=sm:{NAME.format('links', 1)}",
        f"TODOKE_SECRET_CRM=sm:{NAME.format('crm', 7)}",
    ]
    channels = Channels("outbox", {"email": ("smtps://mail.example.com:465",)}, variables=parse_variables(said))
    settings = MailSettings.from_environment(channels.environment)
    assert settings.sender == "Shop <shop@example.com>"
    assert settings.unsubscribe_secret == "signs links"
    assert secrets_for((), channels.environment) == {"CRM": "key of the crm"}
    senders = channels.open(settings, None)
    assert isinstance(senders["email"], Mail)
    assert (senders["email"]._user, senders["email"]._password) == ("shop", "mail-password")
    assert "mail-password" not in repr(channels)
    assert "TODOKE_SMTP_PASSWORD" not in os.environ
    assert Opening(channels.told, channels.environment, settings).environment["TODOKE_SMTP_USER"] == "shop"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (["TODOKE_LINE_TOKEN=abc123"], "TODOKE_LINE_TOKEN: a launch names no secret in plain"),
        (["TODOKE_SECRET_KEY=abc123"], "TODOKE_SECRET_KEY: a launch names no secret in plain"),
        (["TODOKE_UNSUBSCRIBE_SECRET=sm:abc123"], "TODOKE_UNSUBSCRIBE_SECRET: expected projects/PROJECT"),
        (["TODOKE_MAIL_FROM"], "expected NAME=VALUE"),
        (["TODOKE_MAIL_FORM=a@b.c"], "did you mean TODOKE_MAIL_FROM?"),
        (["PATH=/tmp"], "expected NAME=VALUE with a variable that channels take: TODOKE_MAIL_FROM"),
        (["TODOKE_MAIL_FROM="], "TODOKE_MAIL_FROM is empty"),
        (["TODOKE_MAIL_FROM=a\nb"], "TODOKE_MAIL_FROM is empty, or has a line break"),
        (["TODOKE_SMS_FROM=a", "TODOKE_SMS_FROM=b"], "TODOKE_SMS_FROM stands there twice"),
    ],
)
def test_a_variable_that_cannot_be_is_refused_without_its_value(said: list[str], cause: str) -> None:
    with pytest.raises(WrongUse) as refused:
        parse_variables(said)
    assert cause in str(refused.value)
    assert "abc123" not in str(refused.value)


def test_a_secret_may_lie_in_a_file_of_the_worker() -> None:
    assert parse_variables(["TODOKE_LINE_TOKEN=file:/run/line"]) == {"TODOKE_LINE_TOKEN": "file:/run/line"}
