"""Whom a webhook may call: judged by the address that is connected to, however it is spelled."""

import asyncio
import gzip
import ipaddress
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from channels.handing import hand_over
from channels.local_http import local_http
from hypothesis import given
from hypothesis import strategies as st

from transforms.channels.hosts import is_public, parse_allowed
from transforms.channels.http import ANSWER_BYTES, Http
from transforms.channels.inbox.message import RenderedInbox
from transforms.channels.inbox.transport import InboxSender
from transforms.channels.outcome import Outcome
from transforms.channels.webhook.message import RenderedWebhook, WebhookMessage
from transforms.channels.webhook.transport import Webhook
from transforms.events.plain import plain
from transforms.messages.definitions import Text

#: This machine, the local network, and where clouds keep their secrets.
SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0x7f.1",
    "017700000001",
    "127.0.0.1.",
    "127.8.8.8",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST.",
    "１２７.０.０.１",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "ｌｏｃａｌｈｏｓｔ",
    "%31%32%37.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "0xa9fea9fe",
    "2852039166",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "192.168.1.1",
    "192.168.257",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "me@127.0.0.1",
    "me:pw@127.0.0.1",
    "8.8.8.8@127.0.0.1",
    "example.com@[::1]",
]


def call(send, url: str, *allowed: str, timeout: float = 5.0) -> Outcome:
    async def run() -> Outcome:
        webhook = Webhook("", parse_allowed(allowed), timeout=timeout)
        outcome = await hand_over(webhook, send, RenderedWebhook(url, "{}", True))
        await webhook.close()
        return outcome

    return asyncio.run(run())


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_reaches_an_address_that_is_not_public(make_send, host):
    outcome = call(make_send("u1"), f"http://{host}:9/")
    assert (outcome.state, outcome.reason) == ("failed", "refused_host")
    outcome = call(make_send("u1"), f"https://{host}:9/x?y#z")
    assert (outcome.state, outcome.reason) == ("failed", "refused_host")


@pytest.mark.parametrize(
    "host", ["a..b", ".", "-@", "a" * 64, "xn--a" * 60, "[::1", "[v1.x:y]", "a b", "８８..８", "%"]
)
def test_what_is_no_host_is_rejected(make_send, host):
    outcome = call(make_send("u1"), f"http://{host}/")
    assert (outcome.state, outcome.reason) == ("failed", "rejected")


def test_a_name_is_judged_by_what_it_leads_to_when_it_is_called(make_send, monkeypatch):
    """The resolver's answer changes between the first call and the second."""
    answers = ["93.184.216.34", "127.0.0.1"]
    asked = []

    def getaddrinfo(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[min(len(asked), 2) - 1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    tried = []

    async def connect(_self, _socket, address):
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    outcomes = [call(make_send("u1"), "http://rebinding.example:9/") for _ in range(2)]
    assert [(each.state, each.reason) for each in outcomes] == [("retry", "connect"), ("failed", "refused_host")]
    assert tried == ["93.184.216.34"]


def test_names_that_nobody_resolves_hold_up_no_other_channel(store, make_send, monkeypatch):
    asked, resolved = threading.Semaphore(0), threading.Event()

    def getaddrinfo(*_asked, **_how):
        asked.release()
        resolved.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def run():
        webhook, inbox = Webhook(""), InboxSender(store)
        urls = [f"https://name{number}.example/" for number in range(100)]
        calls = [hand_over(webhook, make_send("u1"), RenderedWebhook(url, "", False)) for url in urls]
        held_up = asyncio.gather(*calls)
        try:
            await asyncio.to_thread(asked.acquire)
            written = hand_over(inbox, make_send("slow", channel="inbox"), RenderedInbox("A gift", ""))
            return await asyncio.wait_for(written, 30)
        finally:
            resolved.set()
            await held_up
            await webhook.close()

    assert asyncio.run(run()) == Outcome.handed_off("inbox")


def test_no_redirect_is_followed(make_send):
    with local_http() as site, local_http() as inner:
        site.answers.append((307, {"Location": f"{inner.url}/secret"}, b""))
        outcome = call(make_send("u1"), site.url, site.url.removeprefix("http://"))
        assert (outcome.state, outcome.reason) == ("failed", "rejected")
        assert (len(site.requests), inner.requests) == (1, [])


def test_no_proxy_of_the_environment_is_used(make_send, monkeypatch):
    with local_http() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        outcome = call(make_send("u1"), "http://127.0.0.1:9/")
        assert (outcome.state, outcome.reason, proxy.requests) == ("failed", "refused_host", [])


@pytest.mark.parametrize(
    "allow", ["localhost", "LOCALHOST", "localhost:{port}", "127.0.0.0/8", "127.0.0.1:{port}", "127.1"]
)
def test_what_is_allowed_is_called(make_send, allow):
    with local_http() as site:
        port = site.url.rpartition(":")[2]
        url = f"http://{'localhost' if allow.lower().startswith('local') else '127.0.0.1'}:{port}/"
        assert call(make_send("u1"), url, allow.format(port=port)).state == "handed_off"
        assert len(site.requests) == 1


@pytest.mark.parametrize("allow", ["localhost:1", "127.0.0.1:1", "10.0.0.0/8", "other.example", "::1", "[::1]:9"])
def test_nothing_else_is(make_send, allow):
    for host in ("127.0.0.1", "localhost"):
        assert call(make_send("u1"), f"http://{host}:9/", allow).reason == "refused_host"


@pytest.mark.parametrize("text", ["", "http://x", "a:b", "10.0.0.1/8", "a/b", ":80", "u@h", "a..b", "1.2.3.4:99999"])
def test_what_cannot_be_allowed(text):
    with pytest.raises(ValueError, match="expected HOST"):
        parse_allowed([text])


PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text):
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_a_public_address_is_one_that_python_calls_so_too(ip):
    embedded = ipaddress.ip_network("64:ff9b::/96")
    if is_public(ip) and not (ip.version == 6 and ip in embedded):
        assert ip.is_global
        assert not any((ip.is_multicast, ip.is_loopback, ip.is_link_local, ip.is_reserved))


@given(st.ip_addresses(v=4))
def test_an_address_within_another_is_as_public_as_it_is_alone(ip):
    for whole in (f"64:ff9b::{ip}", f"::ffff:{ip}"):
        inner = ipaddress.IPv6Address(whole)
        assert parse_allowed([]).has_address(str(inner), 80) == is_public(ip)
    shifted = ipaddress.IPv6Address((0x2002 << 112) | (int(ip) << 80))
    assert not is_public(shifted) or is_public(ip)


def post(url: str) -> object:
    async def run() -> object:
        http = Http(5.0)
        answer = await http.post(url, b"{}", {})
        await http.close()
        return answer

    return asyncio.run(run())


def test_an_answer_is_read_up_to_64_kib():
    with local_http() as site:
        site.answers.append((200, {}, b"x" * 5_000_000))
        answer = post(site.url)
        assert (answer.status, len(answer.body)) == (200, ANSWER_BYTES)
        assert "identity" in site.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_not_let_off(encoding):
    with local_http() as site:
        site.answers.append((200, {"Content-Encoding": encoding}, gzip.compress(bytes(30_000_000))))
        assert len(post(site.url).body) == ANSWER_BYTES
        site.answers.append((200, {"Content-Encoding": encoding}, gzip.compress(b'{"name": "n"}')))
        assert post(site.url).body == b'{"name": "n"}'
        site.answers.append((200, {"Content-Encoding": encoding}, b"no gzip"))
        assert post(site.url).body == b"no gzip"


def test_what_an_answer_says_is_shown_in_part_and_without_commands(make_send):
    with local_http() as site:
        site.answers.append((400, {}, b"\x1b]0;x\x07\x9b31m no \xe2\x80\xae" + os.urandom(32) + b"y" * 1000))
        outcome = call(make_send("u1"), site.url, "127.0.0.0/8")
        assert (outcome.state, outcome.reason, len(outcome.detail) <= 204) == ("failed", "rejected", True)
        assert plain(outcome.detail) == outcome.detail


def test_a_status_counts_though_the_body_is_cut_off(make_send):
    with local_http() as site:
        site.answers.append((200, {"content-length": "1000"}, b"a part"))
        assert call(make_send("u1"), site.url, "127.0.0.0/8", timeout=0.5) == Outcome.handed_off("200")


def test_a_kept_connection_that_the_server_has_closed_is_not_written_to(make_courier, make_send):
    """The loop stands still between two batches, and has not heard of the end when the next one comes."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            calls.append(self.client_address)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)  # though it said nothing of it
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        messages = {"hook": WebhookMessage(id="hook", url=Text({"": url}), body=Text({"": "{}"}))}
        channels = {"webhook": Webhook("", parse_allowed(["127.0.0.1"]))}
        courier = make_courier(senders=channels, messages=messages, bounded=False)
        for number in range(5):
            send = make_send(f"w{number}", channel="webhook", message="hook")
            assert [each.state for each in courier.deliver([send])] == ["handed_off"]
            time.sleep(0.02)  # the end is on its way
        server.shutdown()
    assert len(calls) == 5
