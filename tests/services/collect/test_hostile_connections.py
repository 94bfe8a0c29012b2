"""What comes over a connection, however it is made: the service answers or hangs up, and goes on."""

import gzip
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from services_served import KEY, Served, collect_process

from transforms.events.queue.read import QueueReader

BASIC = f"Authorization: Basic {b64encode(f'{KEY}:'.encode()).decode()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collect")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with collect_process(folder) as served:
        yield served


def call(number: int | str) -> bytes:
    return json.dumps({"event": "Seen", "userId": "ann", "messageId": f"m{number}"}).encode()


def request(*headers: str, body: bytes = b"", path: str = "/v1/track") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", BASIC, *headers, "", ""]).encode() + body


def told(served: Served, *sent: bytes, pause: float = 0.0) -> list[int]:
    """The statuses of what is answered until the service hangs up, or answers no more."""
    answer = b""
    with socket.create_connection(("127.0.0.1", served.port), timeout=1.5) as connection:
        try:
            for part in sent:
                connection.sendall(part)
                time.sleep(pause)
            while part := connection.recv(65_536):
                answer += part
        except (TimeoutError, ConnectionError):
            pass
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


def ids(folder: Path) -> list[str]:
    with closing(QueueReader(folder / "events.db")) as reader:
        return [json.loads(each.payload)["messageId"] for page in reader.pages() for each in page]


def test_requests_that_come_one_behind_the_other_are_answered_in_their_order(served: Served, folder: Path) -> None:
    many = [request(f"Content-Length: {len(call(n))}", body=call(n)) for n in ("1", "2", "3")]
    bad = request("Content-Length: 1", body=b"{")
    assert told(served, b"".join([many[0], bad, *many[1:]])) == [200, 400, 200, 200]
    assert [each for each in ids(folder) if each in ("m1", "m2", "m3")] == ["m1", "m2", "m3"]


def test_a_body_in_chunks_is_read_and_one_that_lies_about_them_is_not(served: Served, folder: Path) -> None:
    body = call("chunks")
    chunks = b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n"
    assert told(served, request("Transfer-Encoding: chunked", body=chunks)) == [200]
    assert told(served, request("Transfer-Encoding: chunked", body=b"zz\r\n" + body + b"\r\n0\r\n\r\n")) in ([], [400])
    assert told(served, request("Transfer-Encoding: chunked", body=b"ffffffffffffffffff\r\n" + body)) in ([], [400])
    assert ids(folder).count("mchunks") == 1


def test_two_lengths_smuggle_nothing(served: Served, folder: Path) -> None:
    inner = request(f"Content-Length: {len(call('hidden'))}", body=call("hidden"))
    both = ["Content-Length: 5", "Transfer-Encoding: chunked"]
    told(served, request(*both, body=b"0\r\n\r\n" + inner))
    told(served, request("Content-Length: 0", f"Content-Length: {len(inner)}", body=inner))
    told(served, request("Content-Length: +5", body=b"12345"))
    told(served, request("Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + inner))
    assert "m5" not in ids(folder)
    assert ids(folder).count("mhidden") <= 2  # each time as a request by itself, with its own key
    assert requests.get(f"{served.url}/live", timeout=5).status_code == 200


def test_a_body_that_ends_before_its_length_is_not_taken(served: Served, folder: Path) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(request("Content-Length: 1000", body=call("short")))
        connection.shutdown(socket.SHUT_WR)
    body = gzip.compress(call("cut"))[:-6]
    assert told(served, request(f"Content-Length: {len(body)}", body=body)) == [400]
    assert not {"mshort", "mcut"} & set(ids(folder))


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ([f"X-{n}: {n}" for n in range(1_000)], ([], [431])),
        ([f"X: {'a' * 200_000}"], ([], [431])),
        (["Bad Header: x"], ([], [400])),
    ],
)
def test_a_head_is_bounded(served: Served, headers: list[str], statuses: tuple[list[int], ...]) -> None:
    assert told(served, request(*headers, "Content-Length: 2", body=b"{}")) in statuses
    assert requests.get(f"{served.url}/live", timeout=5).status_code == 200


def test_a_slow_head_or_many_idle_connections_stop_nobody(served: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(300)]
    try:
        for number, each in enumerate(idle):
            each.sendall(b"POST /v1/track HTTP/1.1\r\nHost" if number % 2 else request("Content-Length: 9", body=b"{"))
        answer = requests.post(f"{served.url}/v1/track", data=call("beside"), auth=(KEY, ""), timeout=5)
        assert answer.status_code == 200
    finally:
        for each in idle:
            each.close()


@pytest.mark.parametrize("size", [33_000, 600_000, 5_000_000])
def test_a_client_that_sends_too_much_reads_why(served: Served, size: int) -> None:
    for path in ("track", "batch") if size > 500_000 else ("track",):
        answer = requests.post(f"{served.url}/v1/{path}", data=b" " * size, auth=(KEY, ""), timeout=20)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_names_that_come_twice_and_numbers_that_are_none(served: Served, folder: Path) -> None:
    def post(body: str) -> list[dict[str, Any]]:
        return requests.post(f"{served.url}/v1/batch", data=body, auth=(KEY, ""), timeout=5).json().get("refused", [])

    twice = '{"type": "delete", "type": "track", "event": "A", "event": "B", "userId": "x", "messageId": "mt"}'
    assert post(f'{{"batch": [{twice}]}}') == []
    for body in ('{"a": NaN}', '{"a": Infinity}', '{"a": -}', '{"a": 01}'):
        answer = requests.post(f"{served.url}/v1/batch", data=f'{{"batch": [{body}]}}', auth=(KEY, ""), timeout=5)
        assert answer.status_code == 400
    keys = ", ".join(f'"k{n}": {n}' for n in range(2_000))
    assert post(f'{{"batch": [{{"type": "track", "event": "A", "userId": "x", "properties": {{{keys}}}}}]}}') == []
    [refused] = post('{"batch": [{"type": "track", "type": "delete", "userId": "x"}]}')
    assert refused["cause"] == "unknown_type"
    with closing(QueueReader(folder / "events.db")) as reader:
        payloads = [each.payload for page in reader.pages() for each in page]
    [found] = [each for each in payloads if b'"mt"' in each]
    assert (found.count(b'"type"'), json.loads(found)["event"]) == (1, "B")
