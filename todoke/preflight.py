"""Checks of what a job needs from elsewhere, before it is started: no restart mends what is missing now."""

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPIError,
    MethodNotImplemented,
    NotFound,
    Unauthenticated,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1 import types as pubsub

from beam_pipelines.options import Config
from transforms.account import UNREADABLE, auth_fault
from transforms.campaigns.load import Definitions, compiled
from transforms.campaigns.release import OlderDefinitions
from transforms.channels.channel import settings_of
from transforms.errors import WrongUse
from transforms.events.accounted.deadline import check_deadline
from transforms.events.queue.file import open_to_append
from transforms.events.queue.mark import hold_queue
from transforms.events.sources import EventQueue, Subscription
from transforms.identity.channels import channels
from transforms.metrics.sending import check_otlp
from transforms.storage.open import open_store
from transforms.storage.rows import UserRow
from transforms.storage.users import Users
from transforms.users.user import decode_user

__all__ = [
    "ANSWER_SECONDS",
    "check_channels",
    "check_job",
    "check_pubsub",
    "check_store_release",
    "check_subscription",
    "check_topic",
]

#: How long Pub/Sub may take to answer, in seconds. These checks do not ask whether it is away.
ANSWER_SECONDS = 10.0
#: For how many users the release is checked that they were judged by.
ASKED_USERS = 1_000

_Client = TypeVar("_Client")
_ADVICE = "run `gcloud auth application-default login`, or set PUBSUB_EMULATOR_HOST to use the emulator"


def check_job(config: Config) -> None:
    """Check what a live job on this machine needs: its queue or subscriptions, topics, store, credentials.

    A queue that is not there is made, as a store is.

    Raises:
      WrongUse, NoQueue, QueueHeld, NoStore, OlderDefinitions: something is not there, or may not be used.
    """
    assert config.store is not None
    check_channels(config)
    if config.otlp:
        check_otlp()
    check_pubsub(config)
    if isinstance(config.source, EventQueue):
        queue = Path(config.source.path)
        open_to_append(queue).close()
        with hold_queue(queue):
            pass
    store = open_store(config.store)
    check_store_release(store, compiled(config.definitions))
    store.close()


def check_pubsub(config: Config) -> None:
    """Check that subscriptions and topics exist, and that a job on this machine may use them; and that a job elsewhere
    can acknowledge on account, if it shall.

    Raises:
      WrongUse: one does not, or may not be used, or there are no credentials to ask with.
    """
    here = config.live
    for flag, source in (("--events", config.source), ("--control", config.control)):
        if isinstance(source, Subscription):
            with suppress(GoogleAPIError):
                found = check_subscription(flag, source.path, here=here)
                if config.accounted and found is not None:
                    check_deadline(flag, found, 0.0)
    letters = config.dead_letters.removeprefix("pubsub:") if config.dead_letters.startswith("pubsub:") else None
    for flag, topic in (("--control-topic", config.control_topic), ("--dead-letters", letters)):
        if topic is not None:
            with suppress(GoogleAPIError):
                check_topic(flag, topic, here=here)


def check_store_release(store: Users, definitions: Definitions) -> None:
    """Check that no user was judged by a newer release of the definitions than these.

    Raises:
      OlderDefinitions: one of those who were looked at was.
    """
    newest = max(map(_release, islice(store.scan_users(), ASKED_USERS)), default=0)
    if newest > definitions.release:
        raise OlderDefinitions(newest, definitions.release)


def _release(row: UserRow) -> int:
    try:
        return decode_user(row.state).release
    except (msgspec.MsgspecError, ValueError):  # the job decides what becomes of a state that cannot be read
        return 0


def check_channels(config: Config) -> None:
    """Check that the credentials of all channels are there.

    Raises:
      WrongUse: one lacks them.
    """
    for name in channels():
        if name in config.told:
            try:
                settings_of(name).check_access(config.told, os.environ)
            except ValueError as error:
                raise WrongUse(str(error)) from error


def check_subscription(flag: str, path: str, *, here: bool) -> pubsub.Subscription | None:
    """Check that a subscription exists, and that a job on this machine may read it if that is where it runs (`here`).

    Returns how it is set, None where this account may read it and not look.

    Raises:
      WrongUse: it does not, or may not be used, or there are no credentials to ask with.
      GoogleAPIError: Pub/Sub does not answer.
    """
    try:
        with _client(flag, SubscriberClient) as client:
            try:
                found: pubsub.Subscription = client.get_subscription(
                    subscription=path, retry=None, timeout=ANSWER_SECONDS
                )
                return found
            except Forbidden:  # looking needs another right than reading; and elsewhere another account reads it
                if here and not _may(client, path, "pubsub.subscriptions.consume"):
                    raise
                return None
    except (NotFound, Forbidden, Unauthenticated, GoogleAuthError) as error:
        raise _wrong(flag, "subscription", path, error) from error


def check_topic(flag: str, path: str, *, here: bool) -> None:
    """Check that a topic exists, and that a job on this machine may publish to it if that is where it runs (`here`).

    Raises:
      WrongUse, GoogleAPIError: see `check_subscription`.
    """
    try:
        client = _client(flag, PublisherClient)
        try:
            client.get_topic(topic=path, retry=None, timeout=ANSWER_SECONDS)
        except Forbidden:
            if here and not _may(client, path, "pubsub.topics.publish"):
                raise
        finally:
            client.transport.close()
    except (NotFound, Forbidden, Unauthenticated, GoogleAuthError) as error:
        raise _wrong(flag, "topic", path, error) from error


def _client(flag: str, made: Callable[[], _Client]) -> _Client:
    try:
        return made()
    except UNREADABLE as error:
        raise _uncredited(flag, error) from error


def _may(client: SubscriberClient | PublisherClient, path: str, right: str) -> bool:
    """Whether this account has a right; anybody may ask that of themselves."""
    try:
        request = {"resource": path, "permissions": [right]}
        return right in client.test_iam_permissions(request=request, timeout=ANSWER_SECONDS).permissions
    except (Forbidden, MethodNotImplemented):
        return False


def _wrong(flag: str, kind: str, path: str, error: Exception) -> WrongUse:
    where = f" on the emulator at {os.environ['PUBSUB_EMULATOR_HOST']}" if "PUBSUB_EMULATOR_HOST" in os.environ else ""
    if isinstance(error, NotFound):
        return WrongUse(f"{flag}: there is no {kind} {path}{where}")
    if isinstance(error, Forbidden):
        return WrongUse(f"{flag}: this account may not use the {kind} {path}: {error}")
    return _uncredited(flag, error)


def _uncredited(flag: str, error: BaseException) -> WrongUse:
    return WrongUse(f"{flag}: no credentials for Pub/Sub: {auth_fault(error)}; {_ADVICE}")
