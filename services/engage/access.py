"""Who may ask engage beside whoever has a token of ours: apps, their users, and providers. What proves it is secret.

Of each secret several are valid at once, so that a new one can take its turn. What is not set is not answered.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from services.collect.keys import Keys
from services.engage.fetch import fetch
from services.engage.inbox.user_tokens import INBOX_KEYS, UserKeys, read_user_keys
from services.engage.webhooks.sendgrid import SendgridKeys
from services.engage.webhooks.sns import TOPIC
from services.problems import HttpProblem
from transforms.channels.settings import LINKS_URL, secret_of
from transforms.events.plain import quoted

__all__ = ["ENGAGE_SECRETS", "ENGAGE_VARIABLES", "EngageAccess", "engage_access", "required"]

INBOX_ORIGINS = "TODOKE_INBOX_ORIGINS"
SES_TOPICS = "TODOKE_SES_TOPICS"
SENDGRID_KEYS = "TODOKE_SENDGRID_KEYS"
RECEIPT_SECRETS = "TODOKE_RECEIPT_SECRETS"
TWILIO_TOKENS = "TODOKE_TWILIO_TOKENS"
LINE_SECRETS = "TODOKE_LINE_SECRETS"

#: The variables of the environment that are read here, and which of them hold secrets.
ENGAGE_VARIABLES = (INBOX_ORIGINS, SES_TOPICS, SENDGRID_KEYS)
ENGAGE_SECRETS = (INBOX_KEYS, RECEIPT_SECRETS, TWILIO_TOKENS, LINE_SECRETS)

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#,]+")
#: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#symmetric
_WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,86}={0,2}")


class EngageAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What proves who asks; what is empty or None proves nothing.

    Attributes:
      inbox_keys: verify the tokens of users.
      inbox_origins: of whose pages browsers may ask for an inbox; None: of any, since without a token there is nothing.
      write_keys: of apps.
      url: where this service answers, as Twilio has it, which signs it, without a slash at the end.
      ses_topics: the SNS topics to which SES publishes, by their ARNs.
      sendgrid_keys: of the signed event webhook.
      receipt_secrets: of Standard Webhooks, as `whsec_…`.
      twilio_tokens: auth tokens of the account.
      line_secrets: channel secrets.
      fetch: gets a page by its URL.
    """

    inbox_keys: UserKeys | None = None
    inbox_origins: frozenset[str] | None = None
    write_keys: Keys | None = None
    url: str = ""
    ses_topics: frozenset[str] = frozenset()
    sendgrid_keys: SendgridKeys | None = None
    receipt_secrets: tuple[str, ...] = ()
    twilio_tokens: tuple[str, ...] = ()
    line_secrets: tuple[str, ...] = ()
    fetch: Callable[[str], Awaitable[bytes]] = fetch

    def __repr__(self) -> str:
        return f"EngageAccess(url={self.url!r})"

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may ask for an inbox."""
        return self.inbox_origins is None or origin in self.inbox_origins


def engage_access(environment: Mapping[str, str], write_keys: Keys | None = None) -> EngageAccess:
    """What the environment says. A secret may stand in a file or in Secret Manager (see `secret_of`).

    Raises:
      ValueError: something cannot be read, or is not as it should be; the text shows no secret.
    """
    keys = secret_of(environment, INBOX_KEYS)
    origins = _list(environment.get(INBOX_ORIGINS, ""))
    url = environment.get(LINKS_URL, "").rstrip("/")
    topics = _list(environment.get(SES_TOPICS, ""))
    sendgrid = _list(environment.get(SENDGRID_KEYS, ""))
    for name, values, form in ((INBOX_ORIGINS, origins, _ORIGIN), (SES_TOPICS, topics, TOPIC)):
        for value in values:
            if not form.fullmatch(value):
                raise ValueError(f"{name}: {quoted(value)} is none")
    tokens = _list(secret_of(environment, TWILIO_TOKENS))
    if tokens and not url:
        raise ValueError(f"set {LINKS_URL}: Twilio signs the address that it asks")
    return EngageAccess(
        inbox_keys=read_user_keys(keys) if keys else None,
        inbox_origins=frozenset(origins) or None,
        write_keys=write_keys,
        url=url,
        ses_topics=frozenset(topics),
        sendgrid_keys=SendgridKeys(sendgrid, SENDGRID_KEYS) if sendgrid else None,
        receipt_secrets=_receipt_secrets(environment),
        twilio_tokens=tokens,
        line_secrets=_list(secret_of(environment, LINE_SECRETS)),
    )


def required(found: object, name: str) -> None:
    """See that what proves who asks is there.

    Raises:
      HttpProblem: 404, it is not set, so there is nothing to ask for.
    """
    if not found:
        raise HttpProblem(404, "not_set_up", f"{name} is not set up here")


def _receipt_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    secrets = _list(secret_of(environment, RECEIPT_SECRETS))
    for number, secret in enumerate(secrets, 1):
        if not _WEBHOOK_SECRET.fullmatch(secret):
            raise ValueError(f"{RECEIPT_SECRETS}: part {number} is not whsec_ and 24 to 64 bytes in base64")
    return secrets


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))
