import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.parser import BytesParser

from channels.handing import hand_over

from transforms.channels.email.message import RenderedMail
from transforms.channels.inbox.message import RenderedInbox
from transforms.channels.line.message import RenderedLine
from transforms.channels.outbox import Outbox
from transforms.channels.push.message import RenderedPush
from transforms.channels.scope import scope_of
from transforms.channels.settings import MailSettings
from transforms.channels.webhook.message import RenderedWebhook

PUSH = RenderedPush("届け", "b\n", {"deep_link": "a://b"})


def write(directory, sends, rendered=PUSH):
    async def run():
        outbox = Outbox(directory, MailSettings())
        outcomes = [await hand_over(outbox, send, rendered) for send in sends]
        await outbox.close()
        return outcomes

    return asyncio.run(run())


def lines(directory, channel="push"):
    paths = directory.glob(f"{channel}*.jsonl")
    return [json.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def test_a_push_is_a_line(tmp_path, make_send):
    send = make_send("token-1", id="s1", user="u1", variant="plain", decided_at=1_772_000_000_123_456)
    [outcome] = write(tmp_path, [send])
    assert outcome.state == "handed_off"
    assert lines(tmp_path) == [
        {
            "send_id": "s1",
            "campaign": "win_back",
            "step": "s1",
            "variant": "plain",
            "user": "u1",
            "token": "token-1",
            "title": "届け",
            "body": "b\n",
            "data": {"deep_link": "a://b"},
            "decided_at": "2026-02-25T06:13:20.123456Z",
        }
    ]


def test_what_other_channels_would_have_got_are_lines_too(tmp_path, make_send):
    said = {"campaign": "win_back", "step": "s1", "variant": None, "user": "u1", "decided_at": "2026-02-25T06:13:20Z"}
    cases = {
        "line": (
            RenderedLine([{"type": "text", "text": "x"}]),
            {"to": "U1", "messages": [{"type": "text", "text": "x"}]},
        ),
        "webhook": (
            RenderedWebhook("https://a.example/x", '{"a":1}', True, {"X-A": "b"}),
            {"url": "https://a.example/x", "headers": {"X-A": "b"}, "body": '{"a":1}'},
        ),
        "inbox": (
            RenderedInbox("t", "b", None, "a://b", {"n": [1]}, 60),
            {"title": "t", "body": "b", "image": None, "deep_link": "a://b", "data": {"n": [1]}, "expires": 60},
        ),
    }
    for channel, (rendered, expected) in cases.items():
        send = make_send("U1", id=f"s {channel}", user="u1", channel=channel)
        [outcome] = write(tmp_path, [send], rendered)
        assert outcome.state == "handed_off"
        assert lines(tmp_path, channel) == [{"send_id": f"s {channel}", **said, **expected}]


def test_a_mail_is_a_file(tmp_path, make_send):
    [outcome] = write(tmp_path, [make_send("ada@example.com", id="../s/1")], RenderedMail("Sübject", "T", "<p>h</p>"))
    assert outcome.state == "handed_off"
    [path] = (tmp_path / "mail").glob("*.eml")
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Sübject")
    assert not (tmp_path.parent / "s").exists()


def test_bad_addresses_are_refused_as_a_server_would(tmp_path, make_send):
    [outcome] = write(tmp_path, [make_send("no mailbox@example.com")], RenderedMail("S", "T"))
    assert (outcome.state, outcome.reason) == ("failed", "bad_address")
    assert not (tmp_path / "mail").exists()


def test_outboxes_append(tmp_path, make_send):
    write(tmp_path, [make_send("a")])
    write(tmp_path, [make_send("b"), make_send("c")])
    assert sorted(line["token"] for line in lines(tmp_path)) == ["a", "b", "c"]


def test_many_writers_lose_nothing(tmp_path, make_send):
    batches = [[make_send(f"t{writer}-{number}") for number in range(50)] for writer in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda batch: write(tmp_path, batch), batches))
    assert len({line["token"] for line in lines(tmp_path)}) == len(lines(tmp_path)) == 400


def test_a_run_that_pushes_nothing_writes_nothing(tmp_path):
    write(tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_through_a_courier(tmp_path, make_courier, make_send):
    outbox = Outbox(tmp_path, MailSettings())
    courier = make_courier(senders={"push": outbox, "email": outbox})
    sends = [make_send("p1", attributes={"first_name": "Ada"}), make_send("m1@example.com")]
    assert [delivery.state for delivery in courier.deliver(sends)] == ["handed_off", "handed_off"]
    assert [line["title"] for line in lines(tmp_path)] == ["Hi Ada"]
    assert (tmp_path / "mail" / "id-m1.example.com.eml").exists()


def test_the_scope_of_a_send(make_send):
    send = make_send(
        "t",
        user="u1",
        zone="Asia/Tokyo",
        attributes={"id": "other", "plan": {"tier": 2}, "context.app.version": "1.2", "context.timezone": "x"},
        event={"order_id": "5"},
    )
    scope = scope_of(send, "https://u", 0)
    assert scope.pop("now").isoformat() == "1970-01-01T09:00:00+09:00"
    assert scope == {
        "user": {"id": "u1", "plan": {"tier": 2}, "context": {"app": {"version": "1.2"}, "timezone": "x"}},
        "event": {"order_id": "5"},
        "campaign": "win_back",
        "unsubscribe_url": "https://u",
    }
    assert scope_of(make_send("t", variant="plain"), "", 0)["variant"] == "plain"


def test_a_template_sees_the_group_of_a_user_and_a_trait_of_that_name_beside_it(make_send):
    said = {"group.id": "acme", "group.traits.plan": {"tier": 2}, "group.traits.a": 1, "group.traits.a.b": 2}
    scope = scope_of(make_send("t", user="u1", attributes={"group": {"id": "mine", "name": "Us"}, **said}), "", 0)
    assert scope["user"]["group"] == {"id": "acme", "name": "Us", "traits": {"plan": {"tier": 2}, "a": 1}}
    alone = scope_of(make_send("t", user="u1", attributes={"group": "us", **said}), "", 0)
    assert alone["user"]["group"]["id"] == "acme"
