"""What channels need from the environment: a sender, how mail's readers unsubscribe, tokens and secrets."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from transforms.campaigns.effects import Send
from transforms.channels.address import is_loopback
from transforms.channels.links import Links
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
    "LINKS_URL",
    "OWN_SECRETS",
    "SECRET_PREFIX",
    "UNSUBSCRIBE_SECRET",
    "UNSUBSCRIBE_URL",
    "MailSettings",
    "check_links",
    "check_mail",
    "header_secret",
    "links_of",
    "missing_links",
    "secret_of",
    "secrets_for",
    "signing_keys_of",
]

#: Where the links that unsubscribe lead, and what signs them.
UNSUBSCRIBE_URL, UNSUBSCRIBE_SECRET = "TODOKE_UNSUBSCRIBE_URL", "TODOKE_UNSUBSCRIBE_SECRET"
#: The secrets that channels share.
OWN_SECRETS = (UNSUBSCRIBE_SECRET, SIGNING_KEYS)
#: Where the service answers that customers touch (services/engage); it signs with `tokens.SIGNING_KEYS`.
LINKS_URL = "TODOKE_LINKS_URL"
#: What the variables of templates' secrets begin with.
SECRET_PREFIX = "TODOKE_SECRET_"

_log = logging.getLogger(__name__)

_URL = re.compile(r"https?://[!-~]+")
_BASE = re.compile(r"(https?)://([^/?#\\@]+)(/[!-~]*)?")
#: Where links lead that can lead nowhere.
_NOWHERE = "https://localhost/preferences"


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
    if (links := environment.get(LINKS_URL)) and not _is_base(links):
        raise ValueError(
            f"{LINKS_URL} must be like https://links.example.com, and http:// on this machine only; found "
            f"{quoted(links)}"
        )


def _is_base(url: str) -> bool:
    match = _BASE.fullmatch(url)
    if match is None or any(each in url for each in "?#\"'<>"):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def signing_keys_of(environment: Mapping[str, str]) -> SigningKeys | None:
    """What signs links and tokens; None where nothing was set.

    Raises:
      ValueError: the keys cannot be, or cannot be read.
    """
    text = secret_of(environment, SIGNING_KEYS)
    return read_signing_keys(text) if text else None


def links_of(environment: Mapping[str, str]) -> Links | None:
    """Links to the service that customers touch; None where the environment names none.

    Raises:
      ValueError: it does, and the keys are missing, or cannot be.
    """
    base = environment.get(LINKS_URL)
    if not base:
        return None
    keys = signing_keys_of(environment)
    if keys is None:
        raise ValueError(f"set {SIGNING_KEYS}: without it anybody could forge links to {LINKS_URL}")
    return Links(base, keys)


def missing_links(environment: Mapping[str, str]) -> list[str]:
    """The variables that are missing before links that unsubscribe lead somewhere and nobody can forge them."""
    wanted = (LINKS_URL, SIGNING_KEYS) if environment.get(LINKS_URL) else (UNSUBSCRIBE_URL, UNSUBSCRIBE_SECRET)
    return [name for name in wanted if not environment.get(name)]


def check_links(messages: Iterable[Message], environment: Mapping[str, str]) -> None:
    """See that links that unsubscribe lead somewhere, and that nobody can forge them.

    Raises:
      ValueError: one of `messages` has such a link, and what it is made of is not set.
    """
    needed = {
        "unsubscribe_url": missing_links(environment),
        "preferences_url": [name for name in (LINKS_URL, SIGNING_KEYS) if not environment.get(name)],
    }
    for name, missing in needed.items():
        for message in messages if missing else ():
            if any(_shows_link(name, text) for text in texts_of(message)):
                raise ValueError(
                    f"set {' and '.join(missing)}: message `{message.id}` shows `{name}`, which would lead to this "
                    "machine, or could be forged by anybody"
                )


def _shows_link(name: str, text: Text) -> bool:
    from transforms.messages.liquid import paths_of  # noqa: PLC0415 - Liquid is wanted only where settings lack

    return any(
        path[0] == name
        for source in text.sources.values()
        if name in source or text.partials
        for path in paths_of(source, text.partials)
    )


class MailSettings(msgspec.Struct, frozen=True):
    """The default From, and the base and secret of unsubscribe links.

    The defaults are for one machine: whoever knows the secret can unsubscribe anybody, so set
    `TODOKE_UNSUBSCRIBE_SECRET` (and keep it: links in mails that are out there depend on it) before a real mail goes
    out. `signing_keys` make what leads from a message back to its send; without them nothing does. `secrets` are what
    webhooks may be called with; None where no calls are made. `links` are those to the service that customers touch,
    and take the place of the unsubscribe links; None where it is not named.
    """

    sender: str = "Todoke <todoke@localhost>"
    unsubscribe_base: str = "https://localhost/unsubscribe"
    unsubscribe_secret: str = "local"
    secrets: dict[str, str] | None = None
    signing_keys: SigningKeys | None = None
    links: Links | None = None

    def __repr__(self) -> str:
        return f"MailSettings({self.sender!r}, {self.unsubscribe_base!r})"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "MailSettings":
        """Read `TODOKE_MAIL_FROM`, and what links are made of.

        Raises:
          ValueError: the URL, the sender or the keys are none, or the file of a secret cannot be read.
        """
        check_mail(environment)
        base = environment.get(UNSUBSCRIBE_URL)
        links = links_of(environment)
        if base and links is None and not environment.get(UNSUBSCRIBE_SECRET):
            _log.warning(
                "TODOKE_UNSUBSCRIBE_SECRET is not set: anybody can forge unsubscribe links",
                extra=fields(channel="email"),
            )
        named: dict[str, Any] = {
            "signing_keys": signing_keys_of(environment),
            "sender": environment.get("TODOKE_MAIL_FROM"),
            "unsubscribe_base": base,
            "unsubscribe_secret": secret_of(environment, UNSUBSCRIBE_SECRET),
            "links": links,
        }
        return cls(**{name: value for name, value in named.items() if value})

    def reference_to(self, send: Send) -> str:
        """What leads back to a send; empty where there are no keys."""
        return reference_to(send, self.signing_keys) if self.signing_keys is not None else ""

    def unsubscribe_url(self, send: Send) -> str:
        """The link for the receiver of a send: its topic, or of a transactional one every topic, on its channel."""
        if self.links is not None:
            return self.links.unsubscribe(send)
        return unsubscribe_url(
            self.unsubscribe_base, self.unsubscribe_secret, send.user, send.topic or "all", send.channel
        )

    def preferences_url(self, send: Send) -> str:
        """The link to the page on which the receiver of a send chooses topics."""
        return _NOWHERE if self.links is None else self.links.preferences(send)

    @property
    def own_links(self) -> tuple[str, ...]:
        """What links begin with that are made here, and are never tracked."""
        return (self.unsubscribe_base, _NOWHERE, *(() if self.links is None else (f"{self.links.base}/",)))
