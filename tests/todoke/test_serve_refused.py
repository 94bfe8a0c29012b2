"""What a serve refuses before it starts anything: one clear line each, and exit code 2."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from commands import COMMAND
from served import SHOP

from todoke.serve.folder import held_folder
from transforms.events.queue.append import Queue
from transforms.events.queue.mark import hold_queue
from transforms.storage.sqlite.store import SqliteStore
from transforms.users.lease import LIVE_JOB, JobLease

FREE = ("--listen", "127.0.0.1:0")
SIGNED = {"TODOKE_SIGNING_KEYS": "a=" + "s" * 32, "TODOKE_LINKS_URL": "https://shop.example"}


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.yaml").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    for name in ("TODOKE_WRITE_KEYS", *SIGNED):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refused(*words: str, **environment: str) -> str:
    """What it says."""
    done = subprocess.run(
        [str(COMMAND), "serve", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("shop.yaml", "--listen", f"127.0.0.1:{port}")
    assert said == f"todoke: cannot listen at 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.all_in_ci
def test_a_folder_that_another_serve_uses() -> None:
    with held_folder(Path("todoke-data")):
        said = refused("shop.yaml", *FREE)
    assert said == f"todoke: another serve (process {os.getpid()}) uses the folder todoke-data: stop it first\n"


def test_git_keeps_nothing_of_a_folder_that_was_made(tmp_path: Path) -> None:
    for name in ("here", "made"):
        if name == "here":
            (tmp_path / name).mkdir()
        with held_folder(tmp_path / name):
            assert (tmp_path / name / ".gitignore").exists() == (name == "made")
    subprocess.run(["git", "init", "-q"], check=True)
    found = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert "made" not in found.stdout


@pytest.mark.all_in_ci
def test_a_store_that_another_job_holds() -> None:
    store = SqliteStore("other.db")
    lease = JobLease(store, LIVE_JOB)
    lease.take()
    said = refused("shop.yaml", *FREE, "--store", "sqlite:other.db")
    lease.release()
    store.close()
    assert said.startswith(f"todoke: a live job (process {os.getpid()} on ")
    assert "works on this store and holds its lease" in said
    assert said.count("\n") == 1


@pytest.mark.all_in_ci
def test_a_queue_that_another_job_reads() -> None:
    Path("todoke-data").mkdir()
    Queue("todoke-data/events.db").close()
    with hold_queue(Path("todoke-data/events.db")):
        said = refused("shop.yaml", *FREE)
    assert said == "todoke: another job reads the queue todoke-data/events.db: stop it first\n"


@pytest.mark.all_in_ci
def test_definitions_that_are_away_or_have_mistakes_leave_no_folder_behind() -> None:
    assert refused("away/", *FREE) == "todoke: away: there is no such file or folder\n"
    Path("wrong.yaml").write_text(SHOP.replace("members:", "membrs:"))
    assert refused("wrong.yaml", *FREE).startswith("wrong.yaml:2: error: segments.buyers")
    assert not Path("todoke-data").exists()


@pytest.mark.all_in_ci
def test_another_address_needs_keys_and_secrets_that_were_set() -> None:
    others = ("shop.yaml", "--listen", "0.0.0.0:0")
    keys = {"TODOKE_WRITE_KEYS": "shop=a-key-of-ours-0123"}
    assert "set --keys FILE or TODOKE_WRITE_KEYS" in refused(*others)
    assert "set TODOKE_SIGNING_KEYS" in refused(*others, **keys)
    assert "set TODOKE_LINKS_URL" in refused(*others, **keys, TODOKE_SIGNING_KEYS=SIGNED["TODOKE_SIGNING_KEYS"])


@pytest.mark.all_in_ci
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "nowhere"), 'expected HOST:PORT, such as 127.0.0.1:8600; found "nowhere"'),
        (("--store", "bigtable:a/b"), "--store: expected sqlite:PATH"),
        (("--keys", "away.json"), "away.json: No such file or directory"),
        (("--feed", "slow"), "--feed: expected how many times as fast, such as 60x; found slow"),
        (("--retain", "long"), "--retain: "),
        (("--push", "nobody"), "--push"),
        (("--pusch", "fcm:x"), "did you mean `--push`?"),
        (("--data", "shop.yaml/x"), "--data: "),
        ((), "DEFINITIONS"),
    ],
)
def test_flags_that_cannot_be(words: tuple[str, ...], said: str) -> None:
    flags = () if "--listen" in words else FREE
    assert said in refused(*(("shop.yaml",) if words else ()), *flags, *words)


@pytest.mark.all_in_ci
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TODOKE_INBOX_KEYS", "{}", "TODOKE_INBOX_KEYS"),
        ("TODOKE_INBOX_KEYS", "file:nowhere.json", "TODOKE_INBOX_KEYS"),
        (
            "TODOKE_RECEIPT_SECRETS",
            "secret",
            "TODOKE_RECEIPT_SECRETS: part 1 is not whsec_ and 24 to 64 bytes in base64",
        ),
        ("TODOKE_SIGNING_KEYS", "a=short", "TODOKE_SIGNING_KEYS"),
        ("TODOKE_MACHINES", "nowhere.txt", "TODOKE_MACHINES: nowhere.txt: No such file or directory"),
    ],
)
def test_secrets_that_cannot_be(name: str, value: str, said: str) -> None:
    told = refused("shop.yaml", *FREE, **{name: value})
    assert said in told
    assert told.count("\n") == 1
