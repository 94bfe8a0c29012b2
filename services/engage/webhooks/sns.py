"""Messages of Amazon SNS: who signed them, and of which topic they are.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

SNS signs for everybody: whoever has an account at Amazon can have a message signed. So a message counts only if it is
of a topic that was named here. And what it says of addresses is not followed: the certificate is got from the host of
the topic's own region, over HTTPS, and the address by which a subscription is confirmed is made here.
"""

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.engage.webhooks.provider_events import BadSignature, microseconds

__all__ = ["TOLERANCE", "TOPIC", "SnsCertificates", "SnsMessage", "confirmation_url", "is_of", "verify"]

#: The ARN of a topic: partition, region, account, name.
TOPIC = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:[A-Za-z0-9_-]{1,256}")
#: SNS tries again for an hour by default, and as a topic says; an older message is not taken. In microseconds.
TOLERANCE = 24 * 3_600_000_000

#: What is signed, in this order: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem")
#: Amazon changes its certificates once a year or so.
_KEPT = 16


class SnsMessage(msgspec.Struct, frozen=True, rename="pascal"):
    """What SNS posts."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature: str
    signature_version: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)
    token: str | None = None


class SnsCertificates:
    """The certificates that SNS signs with, each got once.

    Args:
      fetch: gets a page by its URL.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]]) -> None:
        self._fetch = fetch
        self._found: dict[str, x509.Certificate] = {}

    async def at(self, url: str) -> x509.Certificate:
        """The certificate at a URL.

        Raises:
          BadSignature: there is something else.
        """
        found = self._found.get(url)
        if found is None:
            try:
                found = x509.load_pem_x509_certificate(await self._fetch(url))
            except ValueError:
                raise BadSignature("there is no certificate") from None
            while len(self._found) >= _KEPT:
                del self._found[next(iter(self._found))]
            self._found[url] = found
        return found


def is_of(message: SnsMessage, topics: Collection[str]) -> bool:
    """Whether a message says that it is of one of these topics."""
    return message.topic_arn in topics


async def verify(message: SnsMessage, certificates: SnsCertificates, now: int) -> None:
    """See that SNS signed a message, not long ago; its topic must be known (`is_of`) before.

    Raises:
      BadSignature: it did not.
    """
    made = _time(message.timestamp)
    if abs(now - made) > TOLERANCE:
        raise BadSignature("the message is too old, or of the future")
    hashed = _HASHES.get(message.signature_version)
    if hashed is None:
        raise BadSignature("the version of the signature is unknown")
    certificate = await certificates.at(_certificate_url(message))
    at = datetime.fromtimestamp(now / 1_000_000, UTC)
    key = certificate.public_key()
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc or not isinstance(
        key, rsa.RSAPublicKey
    ):
        raise BadSignature("the certificate is not valid")
    try:
        key.verify(b64decode(message.signature, validate=True), _signed(message), padding.PKCS1v15(), hashed)
    except (InvalidSignature, ValueError):
        raise BadSignature("the signature is not genuine") from None


def confirmation_url(message: SnsMessage) -> str:
    """Where a subscription is confirmed: made of the topic, whatever the message says of it.

    Raises:
      BadSignature: the message confirms nothing.
    """
    if message.type != "SubscriptionConfirmation" or not message.token:
        raise BadSignature("the message confirms nothing")
    asked = {"Action": "ConfirmSubscription", "TopicArn": message.topic_arn, "Token": message.token}
    return f"https://{_host(message.topic_arn)}/?{urlencode(asked)}"


def _certificate_url(message: SnsMessage) -> str:
    """Where the certificate is, if that is SNS's own host in the region of the topic."""
    try:
        parts = urlsplit(message.signing_cert_url)
        plain = (parts.scheme, parts.netloc, parts.query, parts.fragment)
    except ValueError:
        raise BadSignature("the address of the certificate is none") from None
    if plain != ("https", _host(message.topic_arn), "", "") or not _CERTIFICATE.fullmatch(parts.path):
        raise BadSignature("the certificate is not where SNS has its own")
    return message.signing_cert_url


def _host(topic: str) -> str:
    match = TOPIC.fullmatch(topic)
    if match is None:
        raise BadSignature("the topic is none")
    partition, region = match.groups()
    return f"sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"


def _signed(message: SnsMessage) -> bytes:
    names = _NOTIFICATION if message.type == "Notification" else _CONFIRMATION
    said = msgspec.to_builtins(message)
    lines = [f"{name}\n{said[name]}\n" for name in names if said[name] is not None]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _time(text: str) -> int:
    try:
        return microseconds(text)
    except (ValueError, OverflowError):
        raise BadSignature("the time is none") from None
