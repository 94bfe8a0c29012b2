"""Secrets that lie in Google's Secret Manager, read by their names where they are used."""

import os
import re
from functools import cache
from typing import Any

from transforms.events.plain import quoted

__all__ = ["EMULATOR", "PREFIX", "check_name", "read_secret"]

#: What the name of a secret begins with where a value could stand.
PREFIX = "sm:"
#: HOST:PORT of a server that speaks the API over HTTP, in place of Google's; for tests.
EMULATOR = "SECRET_MANAGER_EMULATOR_HOST"
#: How long the service may take, in seconds, with the repetitions of the client.
PATIENCE = 30.0

_NAME = re.compile(r"projects/[a-z0-9][-a-z0-9:.]*/secrets/[-A-Za-z0-9_]{1,255}/versions/([1-9][0-9]*|latest)")


def check_name(name: str) -> str:
    """The name of a secret's version.

    Raises:
      ValueError: it is none. The text does not show it: it may be the secret itself.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "expected projects/PROJECT/secrets/SECRET/versions/VERSION, whose VERSION is a number or latest"
        )
    return name


@cache
def read_secret(name: str) -> str:
    """What a version of a secret holds, without white space around it; asked for once in each process.

    Raises:
      ValueError: it is not there, may not be read, or the service does not answer; or that is no name, which the text
        then does not show.
    """
    # The client takes a second to import; only who names such a secret waits for it.
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    from transforms.account import UNREADABLE, auth_fault, google_fault  # noqa: PLC0415

    check_name(name)
    begin = f"the secret {quoted(name)}"
    try:
        opened = _client()
    except UNREADABLE as error:
        raise ValueError(f"{begin} cannot be read: no credentials: {auth_fault(error)}") from error
    try:
        with opened as client:
            found = client.access_secret_version(name=name, timeout=PATIENCE)
        return str(found.payload.data.decode()).strip()
    except (GoogleAPIError, GoogleAuthError) as error:
        raise ValueError(f"{begin} cannot be read: {google_fault(error)}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{begin} is no text") from error


def _client() -> Any:
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415
    from google.cloud.secretmanager import SecretManagerServiceClient  # noqa: PLC0415
    from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (  # noqa: PLC0415
        SecretManagerServiceRestTransport,
    )

    host = os.environ.get(EMULATOR)
    if not host:
        return SecretManagerServiceClient()
    here = SecretManagerServiceRestTransport(host=host, url_scheme="http", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    return SecretManagerServiceClient(transport=here)
