"""`todoke serve`: from a pasted line to a push in the outbox, edits that count at once, and parts that die."""

import itertools
import os
import re
import stat
import subprocess
from email import message_from_string
from pathlib import Path

import httpx
import pytest
from collector import collecting
from prometheus_client.parser import text_string_to_metric_families
from served import SHOP, serving, until

from todoke.prism import installed_prism

pytestmark = pytest.mark.skipif(installed_prism() is None, reason="no Prism on this machine")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    return tmp_path


def test_what_it_shows_works_when_pasted_and_ctrl_c_ends_it(shop: Path) -> None:
    with serving(shop) as served:
        done = subprocess.run(["/bin/sh", "-c", served.curl], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == '{"success":true}'
        [push] = until(served.pushes, "the push")
        assert (push["user"], push["title"]) == ("ada", "Thank you, Ada")
        status = until(lambda: (found := served.get("/status.json").json())["sends"] and found, "the send")
        assert status["segments"] == {"buyers": 1}
        assert status["sends"] == {"push": {"handed_off": 1}}
        assert status["accounts"]["applied"] == 2
        empty = {"waiting": 0, "since": None}
        until(lambda: served.get("/status.json").json()["queue"] == empty, "an empty queue")
        assert served.interrupt() < 5
        assert "Traceback" not in served.told()
    keys = served.data / "keys.json"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert served.key in keys.read_text()
    again = served.key
    with serving(shop) as served:
        assert served.key == again
        assert [push["user"] for push in served.pushes()] == ["ada"]


@pytest.mark.all_in_ci
def test_a_scraper_and_a_collector_get_what_job_and_services_count(shop: Path) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRIC_EXPORT_INTERVAL": "500"}
        with serving(shop, "--otlp", environment=variables) as served:
            assert served.order("ann").status_code == 200
            until(served.pushes)
            until(lambda: "todoke_sends" in collector.newest("todoke-job"), "the send")
            [push] = collector.newest("todoke-job")["todoke_sends"].sum.data_points
            assert push.as_int == 1
            until(lambda: "todoke_collect_calls" in collector.newest("todoke-collect"), "the call")
            assert "todoke-engage" in collector.services()
            until(lambda: "todoke_collect_calls_total" in served.get("/metrics").text, "what collect counted")
            names = {each.name for each in text_string_to_metric_families(served.get("/metrics").text)}
            assert {"todoke_sends", "todoke_accounts", "todoke_latency_seconds"} <= names
            assert served.interrupt() < 5


@pytest.mark.all_in_ci
def test_an_edit_counts_at_once_and_a_mistake_is_told_and_changes_nothing(shop: Path) -> None:
    file = shop / "shop.yaml"
    with serving(shop) as served:
        assert served.order("ann").status_code == 200
        until(served.pushes)
        file.write_text(
            SHOP.replace("Thank you, ", "Thanks, ").replace(
                "campaigns:", "  viewers: {owner: growth, members: {event: Viewed}}\ncampaigns:"
            )
        )
        until(lambda: "release 2" in served.told(), "release 2")
        served.order("ben")
        served.send(
            {"type": "track", "userId": "ann", "event": "Viewed"}, {"type": "track", "userId": "cat", "event": "Viewed"}
        )
        until(lambda: len(served.pushes()) == 2)
        assert served.pushes()[1]["title"] == "Thanks, friend"
        until(lambda: served.get("/status.json").json()["segments"] == {"buyers": 2, "viewers": 2}, "both viewers")
        file.write_text(SHOP.replace("event: Order Completed", "evnt: Order Completed"))
        until(lambda: "shop.yaml:2: error: segments.buyers.members" in served.told(), "the mistake")
        served.order("dan")
        until(lambda: len(served.pushes()) == 3)
        file.unlink()
        until(lambda: "there is no such file or folder" in served.told(), "that the file is away")
        assert served.get("/ready").status_code == 200
        served.interrupt()


@pytest.mark.all_in_ci
@pytest.mark.parametrize("part", ["front", "job"])
def test_a_part_that_dies_is_started_again_and_ready_tells(shop: Path, part: str) -> None:
    with serving(shop) as served:
        served.order("ann")
        until(served.pushes)
        served.part(part).kill()
        if part == "job":
            answer = until(lambda: (found := served.get("/ready")).status_code == 503 and found, "503")
            assert answer.json()["detail"] == "job was killed by SIGKILL"
            assert served.order("ben").status_code == 200  # the queue takes calls meanwhile
        until(lambda: f"{part} was killed by SIGKILL; restart 1 of 8" in served.told(), "the line")
        until(served.is_ready, "ready again")
        served.order("cat")
        users = {"front": ["ann", "cat"], "job": ["ann", "ben", "cat"]}[part]
        until(lambda: [push["user"] for push in served.pushes()] == users)


@pytest.mark.all_in_ci
def test_nothing_outlives_a_supervisor_that_is_killed(shop: Path) -> None:
    with serving(shop) as served:
        parts = [served.part(name) for name in ("front", "job")]
        os.kill(served.process.pid, 9)
        until(lambda: not any(part.is_running() and part.status() != "zombie" for part in parts))


NEWS = """\
campaigns:
  news: {owner: growth, trigger: {event: Signed Up}, reenter: always, consent: news, steps: [{send: hello}]}
messages:
  hello: {channel: email, subject: Hello, text: "Hello. No more of this: {{ unsubscribe_url }}"}
"""


@pytest.mark.all_in_ci
def test_a_link_in_a_mail_unsubscribes(shop: Path) -> None:
    (shop / "shop.yaml").write_text(NEWS)
    with serving(shop) as served:
        subprocess.run(["/bin/sh", "-c", served.curl], capture_output=True, check=True, timeout=60)
        [mail] = until(lambda: list((served.data / "outbox" / "mail").glob("*.eml")), "the mail")
        text = until(lambda: "\n\n" in (found := mail.read_text()) and found, "all of it")
        [link] = re.findall(r"<(http[^>]+)>", message_from_string(text)["List-Unsubscribe"])
        assert link.startswith(served.url)
        assert httpx.get(link).status_code == 200  # shows a page, and changes nothing
        assert httpx.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
        numbers = itertools.count()

        def is_held_back() -> bool:
            again = {"type": "track", "userId": "ada", "event": "Signed Up", "messageId": f"again {next(numbers)}"}
            assert served.send(again).status_code == 200
            return "no_consent" in served.get("/status.json").json()["suppressed"]

        until(is_held_back, "that nothing is sent any more")
        assert served.get("/engage/openapi.json").json()["paths"] != served.get("/openapi.json").json()["paths"]
