"""What a job uses of Google Cloud: credentials, subscriptions, topics, rights; and the clock by Google's."""

import os
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from time import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import google.auth
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request as AuthRequest
from google.cloud.bigtable_admin_v2 import BigtableInstanceAdminClient
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from todoke.doctor.finding import Finding
from todoke.doctor.machine import EMULATED
from todoke.preflight import ANSWER_SECONDS, check_subscription, check_topic
from transforms.account import UNREADABLE, auth_fault
from transforms.errors import WrongUse
from transforms.events.plain import quoted

__all__ = [
    "TIME_SERVER",
    "clock_skew",
    "look_at_clock",
    "look_at_credentials",
    "look_at_instance",
    "look_at_subscription",
    "look_at_topic",
    "missing_rights",
]

#: Says the time in each answer, also in one that refuses.
TIME_SERVER = "https://pubsub.googleapis.com/"
#: How much two clocks may differ, in seconds: leases and claims of a minute and more are judged by them.
_SKEW_SECONDS = 5.0
_ANSWER_SECONDS = 8.0
_LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def look_at_credentials(*, needed: bool) -> Iterator[Finding]:
    """Whether there are credentials, and whether Google takes them."""
    what = "credentials"
    emulated = [service for service, variable in EMULATED.items() if variable in os.environ]
    try:
        credentials, project = google.auth.default(scopes=_SCOPES)
    except UNREADABLE as error:
        because = f" ({', '.join(emulated)}: the emulator needs none)" if emulated else ""
        yield Finding(what, "missing" if needed else "note", f"none: {auth_fault(error)}{because}", _LOGIN)
        return
    who = getattr(credentials, "service_account_email", "") or "a person's own"
    about = f"{who}, project {project or 'none'}"
    try:
        credentials.refresh(AuthRequest())  # type: ignore[no-untyped-call]
    except TransportError as error:
        said = f"{about}; Google did not answer: {auth_fault(error)}"
        yield Finding(what, "unseen", said, "is there a network?", needed)
    except (GoogleAuthError, ValueError) as error:
        refused = f"{about}; Google refuses them: {auth_fault(error)}"
        yield Finding(what, "missing" if needed else "note", refused, _LOGIN)
    else:
        yield Finding(what, "ok", about)


def look_at_subscription(flag: str, path: str, *, here: bool, orders: bool = False) -> Iterator[Finding]:
    """Whether a subscription is there and may be read; with `orders`, whether it is set as events want it."""
    try:
        found = check_subscription(flag, path, here=here)
    except (WrongUse, GoogleAPIError) as error:
        yield _not_there(flag, error)
        return
    yield Finding(flag, "ok", path)
    if here:
        with SubscriberClient() as client:
            yield from missing_rights(flag, client, path, "pubsub.subscriptions.consume")
    if found is None:
        yield Finding(flag, "note", "this account may not look how it is set", "pubsub.subscriptions.get would show it")
        return
    if orders and not found.enable_message_ordering:
        said = "keeps no order: calls of one user may arrive in another order"
        yield Finding(flag, "note", said, "docs/operations/out-of-order.md")
    if not found.retain_acked_messages:
        said = "keeps no acknowledged messages: it cannot be sought back after a job that was cancelled"
        yield Finding(flag, "note", said, "set --retain-acked-messages: docs/operations/job-died.md")


def look_at_topic(flag: str, path: str, *, here: bool) -> Iterator[Finding]:
    """Whether a topic is there and may be published to."""
    try:
        check_topic(flag, path, here=here)
    except (WrongUse, GoogleAPIError) as error:
        yield _not_there(flag, error)
        return
    yield Finding(flag, "ok", path)
    if here:
        client = PublisherClient()
        yield from missing_rights(flag, client, path, "pubsub.topics.publish")
        client.transport.close()


def look_at_instance(project: str, instance: str) -> Iterator[Finding]:
    """Whether this account may read and write the tables of a Bigtable instance."""
    try:
        client = BigtableInstanceAdminClient()
    except GoogleAuthError:
        return  # said by whoever looks for credentials
    rights = ("bigtable.tables.readRows", "bigtable.tables.mutateRows")
    yield from missing_rights("rights", client, f"projects/{project}/instances/{instance}", *rights)
    client.transport.close()  # type: ignore[no-untyped-call]


def missing_rights(what: str, client: Any, resource: str, *wanted: str) -> Iterator[Finding]:
    """The rights on a resource that this account lacks; anybody may ask that of themselves, but not of emulators."""
    try:
        request = {"resource": resource, "permissions": wanted}
        given = client.test_iam_permissions(request=request, timeout=ANSWER_SECONDS, retry=None).permissions
    except (GoogleAPIError, GoogleAuthError):
        return
    if lacking := [right for right in wanted if right not in given]:
        said = f"this account lacks {', '.join(lacking)} on {resource}"
        yield Finding(what, "missing", said, "templates/infra/identities.tf lists who needs which role", needed=True)


def _not_there(flag: str, error: WrongUse | GoogleAPIError) -> Finding:
    if isinstance(error.__cause__, GoogleAuthError):
        return Finding(flag, "unseen", "nobody to ask as: there are no credentials", needed=True)
    if isinstance(error, GoogleAPIError):
        return Finding(flag, "unseen", f"Pub/Sub does not answer: {error}", "is there a network?", needed=True)
    said = str(error).removeprefix(f"{flag}: ")
    return Finding(flag, "missing", said, "templates/infra makes it, and gives the rights", needed=True)


def look_at_clock(server: str = TIME_SERVER) -> Iterator[Finding]:
    """How far this machine's clock is from Google's."""
    skew = clock_skew(server)
    if isinstance(skew, str):
        yield Finding("clock", "unseen", f"nobody says the time: {skew}", "is there a network?")
    elif abs(skew) <= _SKEW_SECONDS:
        yield Finding("clock", "ok", f"{skew:+.0f} s by Google's")
    else:
        todo = "set it by NTP: leases, claims and deadlines go by it"
        yield Finding("clock", "missing", f"{skew:+,.0f} s by Google's", todo, needed=True)


def clock_skew(server: str) -> float | str:
    """By how many seconds this machine's clock is ahead of a server's, to a second; or why nobody knows."""
    asked = time()
    try:
        with urlopen(Request(server, method="HEAD"), timeout=_ANSWER_SECONDS) as answer:
            said = answer.headers["Date"]
    except HTTPError as error:
        said = error.headers["Date"]
    except (OSError, HTTPException) as error:  # what speaks no HTTP among them
        return str(getattr(error, "reason", error)) or type(error).__name__
    if said is None:
        return f"{server} says none"
    here = (asked + time()) / 2
    try:
        there = parsedate_to_datetime(said).timestamp()
    except (ValueError, OverflowError, OSError):
        return f"{server} says {quoted(said)}, which is no time"
    return here - (there + 0.5)  # the header has whole seconds: half of one is added on average
