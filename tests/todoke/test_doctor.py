"""What an installation lacks is found, with what to do, in time, and without a network too."""

import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest
from google.cloud import pubsub_v1
from google.cloud.bigtable_admin_v2 import BigtableInstanceAdminClient
from google.cloud.bigtable_admin_v2.services.bigtable_instance_admin.transports import (
    BigtableInstanceAdminGrpcTransport,
)
from google.iam.v1 import iam_policy_pb2

from todoke.doctor.finding import Finding, Look, look_at_all
from todoke.doctor.google import clock_skew, look_at_clock, missing_rights
from todoke.doctor.machine import look_at_hosts
from transforms.storage.open import open_store
from transforms.users.lease import JobLease

SUBSCRIPTION = "pubsub:projects/a-project/subscriptions/events"
SECRET = "hunter2-of-a-private-key"
KEY = json.dumps({"type": "service_account", "private_key": SECRET, "client_email": "a@b", "token_uri": "https://x"})
DEFINITIONS = "segments:\n  buyers: {owner: crm, members: {event: Order Completed}}\n"


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, list[dict]]:
    """The findings of a run with --json, by what they are of."""
    found: dict[str, list[dict]] = {}
    for each in json.loads(done.stdout)["findings"]:
        found.setdefault(each["what"], []).append(each)
    return found


def states(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    return {what: [each["state"] for each in found] for what, found in findings(done).items()}


def test_a_whole_installation_has_nothing_to_mend(todoke, tmp_path, prism):
    (tmp_path / "shop.yaml").write_text(DEFINITIONS)
    open_store(f"sqlite:{tmp_path / 'users.db'}").close()
    done = todoke("doctor", "--store", "sqlite:users.db", "--definitions", "shop.yaml", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"]
    found = states(done)
    for what in ("python", "todoke", "packages", "channels", "prism", "store", "lease", "definitions"):
        assert found[what] == ["ok"], (what, done.stdout)
    assert {state for all_ in found.values() for state in all_} <= {"ok", "note"}


def test_it_says_so_to_people_too(todoke, tmp_path):
    (tmp_path / "shop.yaml").write_text("segments:\n  buyers: {}\n")
    done = todoke("doctor", "--definitions", "shop.yaml")
    assert done.returncode == 1
    assert "\nmissing  definitions" in done.stdout
    assert "→ `todoke validate shop.yaml` lists them" in done.stdout
    assert done.stdout.endswith("\n1 thing to mend, or to look at again: definitions\n")
    assert todoke("doctor").stdout.endswith("\nnothing is missing that was asked for\n")


def test_a_machine_without_programs_and_credentials(installed, tmp_path):
    """A wheel where there is no checkout, nothing on PATH, and nobody who says who this is."""
    begun = time.monotonic()
    words = ["doctor", "--store", "sqlite:users.db", "--events", SUBSCRIPTION, "--json"]
    done = alone(installed, tmp_path, *words)
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - begun < 60
    found = findings(done)
    for what in ("java", "go", "bigtable emulator", "pubsub emulator"):
        assert found[what][0]["state"] == "note", what
        assert found[what][0]["todo"], what
    assert found["prism"][0]["state"] == "missing"
    assert "install Go" in found["prism"][0]["todo"]
    assert found["store"][0]["state"] == "note"  # a run makes it
    assert found["--events"][0]["state"] in ("missing", "unseen")
    assert found["credentials"][0]["state"] in ("missing", "unseen")


def test_it_asks_no_server_for_what_is_on_this_machine(installed, tmp_path):
    done = alone(installed, tmp_path, "doctor", "--store", "sqlite:users.db", "--json")
    assert done.returncode == 0, done.stdout
    assert not {"credentials", "clock"} & set(findings(done))


def test_packages_of_other_versions_and_a_prism_of_another(installed, tmp_path):
    for name, version in (("polars", "0.1"), ("rich", "1.0")):
        folder = tmp_path / "first" / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    prism = tmp_path / "bin" / "prism"
    prism.parent.mkdir()
    prism.write_bytes(b"#!/bin/sh\necho job_port; exit\n\nmod\tgithub.com/apache/beam/sdks/v2\tv2.60.0\th1:x=\n")
    prism.chmod(0o755)
    variables = {"PYTHONPATH": str(tmp_path / "first"), "PATH": str(prism.parent)}
    done = alone(installed, tmp_path, "doctor", "--json", **variables)
    assert done.returncode == 1
    found = findings(done)
    assert "polars is 0.1, and >=2,<3 is wanted" in found["packages"][0]["found"].replace("<3,>=2", ">=2,<3")
    assert "rich is 1.0" in found["packages"][0]["found"]
    assert found["prism"][0]["state"] == "note"
    assert "is 2.60.0, and Beam" in found["prism"][0]["found"]


def alone(installed: Path, folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    empty = folder / "nothing"
    empty.mkdir()
    environment = {"PATH": str(empty), "HOME": str(empty), "XDG_CACHE_HOME": str(empty), "LC_ALL": "C.UTF-8"}
    command = [str(installed / "todoke"), *words]
    return subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.all_in_ci
def test_a_store_of_bigtable_and_its_tables(todoke, bigtable):
    missing = todoke("doctor", "--store", bigtable.url, "--json")
    assert missing.returncode == 1
    (found,) = findings(missing)["store"]
    assert found["state"] == "missing"
    assert "lacks the tables users, events" in found["found"]
    assert "templates/infra" in found["todo"]
    open_store(bigtable.url).close()
    there = todoke("doctor", "--store", bigtable.url, "--json")
    assert there.returncode == 0, there.stdout
    assert states(there)["store"] == ["ok"]
    assert states(there)["BIGTABLE_EMULATOR_HOST"] == ["ok"]
    assert "credentials" not in states(there)


@pytest.mark.all_in_ci
def test_subscriptions_and_topics(todoke, pubsub):
    place = f"pubsub:projects/{pubsub.name}"
    words = ("--events", f"{place}/subscriptions/events", "--control", f"{place}/subscriptions/control")
    words += ("--control-topic", f"{place}/topics/control", "--dead-letters", f"{place}/topics/dead-letters")
    missing = todoke("doctor", *words, "--json")
    assert missing.returncode == 1
    found = findings(missing)
    for flag in words[::2]:
        assert found[flag][0]["state"] == "missing", flag
        assert pubsub.name in found[flag][0]["found"]
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        for name in ("events", "control", "dead-letters"):
            publisher.create_topic(name=f"projects/{pubsub.name}/topics/{name}")
        for name in ("events", "control"):
            request = {
                "name": f"projects/{pubsub.name}/subscriptions/{name}",
                "topic": f"projects/{pubsub.name}/topics/{name}",
                "enable_message_ordering": name == "control",
                "retain_acked_messages": name == "control",
            }
            subscriber.create_subscription(request=request)
    there = todoke("doctor", *words, "--json")
    assert there.returncode == 0, there.stdout
    found = states(there)
    assert found["--events"] == ["ok", "note", "note"]  # no order, and cannot be sought back
    assert found["--control"] == found["--control-topic"] == found["--dead-letters"] == ["ok"]


def test_an_emulator_that_is_away(todoke, monkeypatch):
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "127.0.0.1:1")
    begun = time.monotonic()
    done = todoke("doctor", "--store", "bigtable:a-project/an-instance", "--json")
    assert done.returncode == 1
    assert time.monotonic() - begun < 60
    found = findings(done)
    assert found["BIGTABLE_EMULATOR_HOST"][0]["state"] == "missing"
    assert "unset it" in found["BIGTABLE_EMULATOR_HOST"][0]["todo"]
    assert found["store"][0]["state"] == "unseen"  # nobody knows what is there
    assert found["store"][0]["needed"]


class _Rights(grpc.GenericRpcHandler):
    """A server that grants some rights, and only these."""

    def __init__(self, *granted: str) -> None:
        self._granted = granted

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if not details.method.endswith("/TestIamPermissions"):
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda asked, _: iam_policy_pb2.TestIamPermissionsResponse(
                permissions=set(asked.permissions) & set(self._granted)
            ),
            request_deserializer=iam_policy_pb2.TestIamPermissionsRequest.FromString,
            response_serializer=iam_policy_pb2.TestIamPermissionsResponse.SerializeToString,
        )


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        (("bigtable.tables.readRows", "bigtable.tables.mutateRows"), None),
        (("bigtable.tables.readRows",), "lacks bigtable.tables.mutateRows on projects/p/instances/i"),
        ((), "lacks bigtable.tables.readRows, bigtable.tables.mutateRows on"),
    ],
)
def test_rights_that_an_account_lacks(granted, lacking):
    server = grpc.server(ThreadPoolExecutor(1), handlers=(_Rights(*granted),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = BigtableInstanceAdminClient(transport=BigtableInstanceAdminGrpcTransport(channel=channel))
        wanted = ("bigtable.tables.readRows", "bigtable.tables.mutateRows")
        found = list(missing_rights("rights", client, "projects/p/instances/i", *wanted))
    server.stop(None)
    assert [(each.state, each.needed) for each in found] == ([] if lacking is None else [("missing", True)])
    assert lacking is None or lacking in found[0].found


@pytest.mark.parametrize("host", ["nowhere", "127.0.0.1:", ":x"])
def test_an_emulator_whose_address_is_none(monkeypatch, host):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", host)
    monkeypatch.delenv("BIGTABLE_EMULATOR_HOST", raising=False)
    (found,) = look_at_hosts()
    assert found.state == "missing"


@pytest.mark.all_in_ci
def test_who_works_on_the_store(todoke, tmp_path):
    url = f"sqlite:{tmp_path / 'users.db'}"
    store = open_store(url)
    JobLease(store, "a live job").take()
    assert findings(todoke("doctor", "--store", url, "--json"))["lease"][0]["found"].startswith("a live job (process ")
    row = store.read_lease()
    assert row is not None
    assert store.swap_lease(
        row, type(row)(row.job, "elsewhere", 1, "", row.token, row.since, row.until + 3_600_000_000)
    )
    done = todoke("doctor", "--store", url, "--json")
    assert done.returncode == 1
    assert "clocks" in findings(done)["lease"][0]["todo"]
    store.close()


@pytest.mark.parametrize(
    "words",
    [
        ("--store", "nothing:"),
        ("--events", "events.jsonl"),
        ("--events", "pubsub:events"),
        ("--control-topic", "control"),
    ],
)
def test_a_place_that_is_none_is_wrong_use(todoke, words):
    done = todoke("doctor", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert words[0] in done.stderr


class Clock(HTTPServer):
    """A server whose clock is ahead by `ahead` seconds, or that says no time where it is None."""

    def __init__(self, ahead: float | None, status: int = 404) -> None:
        self.ahead, self.status, self.said = ahead, status, ""
        super().__init__(("127.0.0.1", 0), _Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Answers(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response_only(self.server.status)
        if self.server.ahead is not None:
            self.send_header("Date", self.server.said or formatdate(time.time() + self.server.ahead, usegmt=True))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(("ahead", "state"), [(0, "ok"), (3600, "missing"), (-3600, "missing"), (None, "unseen")])
def test_the_clock_by_another(ahead, state, status):
    server = Clock(ahead, status)
    (found,) = look_at_clock(server.url)
    assert found.state == state
    if ahead:
        skew = clock_skew(server.url)
        assert isinstance(skew, float)
        assert abs(skew + ahead) < 60
    server.shutdown()
    server.server_close()
    (nobody,) = look_at_clock(server.url)
    assert nobody.state == "unseen"


def test_a_look_that_never_answers_holds_up_nobody():
    never = threading.Event()

    def wait():
        never.wait()
        return []

    there = Look("there", lambda: [Finding("there", "ok", "yes")])
    found = look_at_all([Look("away", wait, needed=True), there, Look("unasked", wait)], patience=0.2)
    assert [(each.what, each.state, each.fails) for each in found] == [
        ("away", "unseen", True),
        ("there", "ok", False),
        ("unasked", "unseen", False),
    ]
    never.set()


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 99999 00:00:00 GMT"])
def test_a_clock_that_says_no_time(date):
    server = Clock(0)
    server.said = date
    (found,) = look_at_clock(server.url)
    server.shutdown()
    server.server_close()
    assert (found.state, "which is no time" in found.found) == ("unseen", True)


def test_a_clock_that_speaks_no_http():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_garble, args=(server,), daemon=True).start()
        (found,) = look_at_clock(f"http://127.0.0.1:{server.getsockname()[1]}/")
    assert found.state == "unseen"


def _garble(server: socket.socket) -> None:
    with server.accept()[0] as there:
        there.recv(4096)
        there.sendall(b"garbage\r\n\r\n")


@pytest.mark.all_in_ci
@pytest.mark.parametrize("content", [b"[]", b"{}", b"", KEY.encode("utf-16"), KEY.encode(), b'{"type": []}', None])
def test_a_key_file_that_is_none_hides_nothing_else_and_is_not_shown(todoke, tmp_path, monkeypatch, content):
    path = tmp_path / "key.json"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    words = ("--control-topic", "pubsub:projects/a-project/topics/control")
    for form in ((), ("--json",)):
        done = todoke("doctor", *words, *form)
        said = done.stdout + done.stderr
        assert done.returncode == 1
        assert "Traceback" not in said
        assert SECRET not in said
        assert "\\x" not in said
    found = states(done)
    assert found["python"] == found["packages"] == ["ok"]
    assert found["credentials"] == ["missing"]


def test_a_look_that_fails_as_it_may_does_not_hide_the_rest():
    def fail():
        raise OSError(21, "Is a directory")

    def garble():
        raise UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, "invalid start byte")

    there = Look("there", lambda: [Finding("there", "ok", "yes")])
    found = look_at_all([Look("broken", fail, needed=True), Look("garbled", garble), there])
    assert [(each.what, each.state, each.fails) for each in found] == [
        ("broken", "unseen", True),
        ("garbled", "unseen", False),
        ("there", "ok", False),
    ]
    assert SECRET not in repr(found)


def test_what_nobody_foresaw_is_not_hidden():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look_at_all([Look("broken", fail)])
