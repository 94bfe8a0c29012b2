"""Mistakes in flags are said before anything starts, and never with a password."""

import pytest

from beam_pipelines.backfill_options import parse as parse_backfill
from beam_pipelines.flag_words import Misread
from beam_pipelines.options import parse
from beam_pipelines.places import check_written
from beam_pipelines.values import read_time
from transforms.channels.hosts import parse_allowed
from transforms.channels.line.settings import parse_line
from transforms.channels.push.settings import parse_fcm
from transforms.channels.webhook.transport import check_secret
from transforms.errors import WrongUse
from transforms.events.times import write_time
from transforms.storage.open import parse_store


@pytest.mark.parametrize(
    ("parse", "url"),
    [
        (parse_fcm, "fcm:shop@http://u:hunter2@h:99999"),
        (parse_fcm, "fcm:shop@htp://u:hunter2@h:80"),
        (parse_fcm, "fcm:shop@http://u:hunter2@h:80/path"),
        (parse_line, "line@http://u:hunter2@h"),
        (parse_store, "postgres://u:hunter2@h/x"),
    ],
)
def test_no_error_shows_a_password(parse, url):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("secret", ["whsec_hunter2", "whsec_aGk=!", "whsec_"])
def test_a_secret_is_base64_to_the_letter(secret):
    with pytest.raises(ValueError, match="expected whsec_ and base64"):
        check_secret(secret)


def test_a_host_with_a_colon_needs_a_port():
    for text in ("127.0.0.1:", "[::1]:"):
        with pytest.raises(ValueError, match="expected HOST"):
            parse_allowed([text])
    assert parse_allowed(["fd00::", "127.0.0.1:80", "shop.example"])


def test_an_outbox_that_cannot_be_made_is_said_and_one_that_can_is_not_yet_made(tmp_path):
    with pytest.raises(WrongUse, match=r"--outbox: .* cannot be made"):
        check_written("--outbox", str(tmp_path / ("x" * 300)), folder=True)
    check_written("--outbox", str(tmp_path / "a" / "b"), folder=True)
    assert not list(tmp_path.iterdir())


def test_a_mistyped_flag_is_told_which_was_meant():
    with pytest.raises(Misread, match=r"--definitons; did you mean `--definitions`\?; .* are required: --definitions"):
        parse(["--definitons", "x", "--events", "y", "--store", "none"])
    with pytest.raises(Misread, match="are required: --definitions"):
        parse_backfill(["--store", "x"])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("now", "2026-05-03T10:20:30Z"),
        ("now-90m", "2026-05-03T08:50:30Z"),
        ("today", "2026-05-03T00:00:00Z"),
        ("today-2d", "2026-05-01T00:00:00Z"),
        ("2026-05-01T02:00:00+02:00", "2026-05-01T00:00:00Z"),
    ],
)
def test_words_for_times_are_those_of_the_launch_and_days_those_of_utc(said, meant):
    assert write_time(read_time("--as-of", said, read_time("", "2026-05-03T10:20:30Z"))) == meant


@pytest.mark.parametrize("said", ["now-", "today-1y", "today+1d", "tomorrow", "now-1h-1h", "nowhere"])
def test_what_is_no_word_for_a_time_is_refused_by_its_flag(said):
    with pytest.raises(WrongUse, match=r"--as-of: (expected a|months and years)"):
        read_time("--as-of", said, 0)


def test_a_word_for_a_time_needs_a_launch():
    with pytest.raises(WrongUse, match=r"--as-of: expected a time with a zone, such as \S+Z; found .now"):
        read_time("--as-of", "now")
