"""What channels need from the environment: a sender, how mail's readers unsubscribe, tokens and secrets."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.references import reference_to
from transforms.channels.secret_manager import PREFIX, read_secret
from transforms.channels.tokens import SIGNING_KEYS, SigningKeys, read_signing_keys
from transforms.channels.unsubscribe import unsubscribe_url
from transforms.events.plain import quoted
from transforms.identity.mailbox import named_mailbox
from transforms.logs import fields
from transforms.messages.definitions import Message, Text, texts_of
from transforms.messages.render import has_break
from transforms.messages.secrets import secret_names

__all__ = [
    "OWN_SECRETS",
    "SECRET_PREFIX",
    "UNSUBSCRIBE_SECRET",
    "UNSUBSCRIBE_URL",
    "MailSettings",
    "check_links",
    "check_mail",
    "header_secret",
    "secret_of",
    "secrets_for",
]

#: Where the links that unsubscribe lead, and what signs them.
UNSUBSCRIBE_URL, UNSUBSCRIBE_SECRET = "TODOKE_UNSUBSCRIBE_URL", "TODOKE_UNSUBSCRIBE_SECRET"
#: The secrets that channels share.
OWN_SECRETS = (UNSUBSCRIBE_SECRET, SIGNING_KEYS)
#: What the variables of templates' secrets begin with.
SECRET_PREFIX = "TODOKE_SECRET_"

_log = logging.getLogger(__name__)

_URL = re.compile(r"https?://[!-~]+")


def secret_of(environment: Mapping[str, str], name: str) -> str:
    """A secret of the environment, empty where there is none.

    `file:PATH` stands for what the file holds, and `sm:projects/P/secrets/S/versions/V` for what Secret Manager does.

    Raises:
      ValueError: the file, or the secret, cannot be read.
    """
    text = environment.get(name, "")
    if text.startswith(PREFIX):
        try:
            return read_secret(text.removeprefix(PREFIX))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if not text.startswith("file:"):
        return text
    path = Path(text.removeprefix("file:"))
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: {path} cannot be read: {error}") from error


def header_secret(environment: Mapping[str, str], name: str) -> str:
    """A secret that goes into a header, without white space around it.

    Raises:
      ValueError: its file cannot be read, or there is a line break or control character in it.
    """
    return _without_break(secret_of(environment, name).strip(), name)


def _without_break(text: str, name: str) -> str:
    if has_break(text):
        raise ValueError(f"{name}: a line break or control character cannot stand in a header")
    return text


def secrets_for(messages: Iterable[Message], environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets that templates of webhooks may use, by name: those in `TODOKE_SECRET_NAME` and the like.

    Raises:
      ValueError: one that `messages` need is missing, cannot be read, or has a line break. The text does not show it.
    """
    found = {
        name.removeprefix(SECRET_PREFIX): secret_of(environment, name)
        for name in environment
        if name.startswith(SECRET_PREFIX)
    }
    for name in secret_names(messages):
        if not found.get(name):
            raise ValueError(f"set {SECRET_PREFIX}{name}: a webhook's `{{{{ secrets.{name} }}}}` needs it")
        _without_break(found[name], f"{SECRET_PREFIX}{name}")
    return found


def check_mail(environment: Mapping[str, str]) -> None:
    """Check what mails take from the environment, but for the secret.

    Raises:
      ValueError: the sender or the URL is not one.
    """
    if (sender := environment.get("TODOKE_MAIL_FROM")) and (has_break(sender) or named_mailbox(sender) is None):
        raise ValueError(f"TODOKE_MAIL_FROM must be like Shop <shop@example.com>; found {quoted(sender)}")
    base = environment.get(UNSUBSCRIBE_URL)
    if base and not _URL.fullmatch(base):
        raise ValueError(f"TODOKE_UNSUBSCRIBE_URL must be like https://example.com/unsubscribe; found {quoted(base)}")


def check_links(messages: Iterable[Message], environment: Mapping[str, str]) -> None:
    """See that links that unsubscribe lead somewhere, and that nobody can forge them.

    Raises:
      ValueError: one of `messages` has such a link, and what it is made of is not set.
    """
    missing = [name for name in (UNSUBSCRIBE_URL, UNSUBSCRIBE_SECRET) if not environment.get(name)]
    for message in messages if missing else ():
        if any(_shows_link(text) for text in texts_of(message)):
            raise ValueError(
                f"set {' and '.join(missing)}: message `{message.id}` shows `unsubscribe_url`, which would lead to "
                "this machine, or could be forged by anybody"
            )


def _shows_link(text: Text) -> bool:
    from transforms.messages.liquid import paths_of  # noqa: PLC0415 - Liquid is wanted only where settings lack

    return any(
        path[0] == "unsubscribe_url"
        for source in text.sources.values()
        if "unsubscribe_url" in source or text.partials
        for path in paths_of(source, text.partials)
    )


class MailSettings(msgspec.Struct, frozen=True):
    """The default From, and the base and secret of unsubscribe links.

    The defaults are for one machine: whoever knows the secret can unsubscribe anybody, so set
    `TODOKE_UNSUBSCRIBE_SECRET` (and keep it: links in mails that are out there depend on it) before a real mail goes
    out. `signing_keys` make what leads from a message back to its send; without them nothing does. `secrets` are what
    webhooks may be called with; None where no calls are made.
    """

    sender: str = "Todoke <todoke@localhost>"
    unsubscribe_base: str = "https://localhost/unsubscribe"
    unsubscribe_secret: str = "local"
    secrets: dict[str, str] | None = None
    signing_keys: SigningKeys | None = None

    def __repr__(self) -> str:
        return f"MailSettings({self.sender!r}, {self.unsubscribe_base!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "MailSettings":
        """Read `TODOKE_MAIL_FROM`, `TODOKE_UNSUBSCRIBE_URL`, `TODOKE_UNSUBSCRIBE_SECRET` and `TODOKE_SIGNING_KEYS`.

        Raises:
          ValueError: the URL, the sender or the keys are none, or the file of a secret cannot be read.
        """
        check_mail(environment)
        base = environment.get(UNSUBSCRIBE_URL)
        if base and not environment.get(UNSUBSCRIBE_SECRET):
            _log.warning(
                "TODOKE_UNSUBSCRIBE_SECRET is not set: anybody can forge unsubscribe links",
                extra=fields(channel="email"),
            )
        keys = secret_of(environment, SIGNING_KEYS)
        named: dict[str, Any] = {
            "signing_keys": read_signing_keys(keys) if keys else None,
            "sender": environment.get("TODOKE_MAIL_FROM"),
            "unsubscribe_base": base,
            "unsubscribe_secret": secret_of(environment, UNSUBSCRIBE_SECRET),
        }
        return cls(**{name: value for name, value in named.items() if value})

    def reference_to(self, send: Send) -> str:
        """What leads back to a send; empty where there are no keys."""
        return reference_to(send, self.signing_keys) if self.signing_keys is not None else ""

    def unsubscribe_url(self, send: Send) -> str:
        """The link for the receiver of a send: its topic, or of a transactional one every topic, on its channel."""
        return unsubscribe_url(
            self.unsubscribe_base, self.unsubscribe_secret, send.user, send.topic or "all", send.channel
        )
