"""What Amazon SES tells of mails, by event publishing or by notifications of an identity.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from collections.abc import Iterator
from email.utils import parseaddr
from hashlib import blake2b

import msgspec

from services.engage.webhooks.provider_events import ProviderEvent, UnreadEvent, each_told, microseconds
from transforms.channels.references import REFERENCE_HEADER

__all__ = ["told_by_ses"]

#: Complaints that say the contrary: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#complaint-object
_NOT_SPAM = "not-spam"


class _Header(msgspec.Struct, rename="camel"):
    name: str
    value: str


class _Mail(msgspec.Struct, rename="camel"):
    message_id: str
    headers: list[_Header] = []

    @property
    def reference(self) -> str:
        """What our mail carried."""
        return next((each.value for each in self.headers if each.name.lower() == REFERENCE_HEADER.lower()), "")


class _Recipient(msgspec.Struct, rename="camel"):
    email_address: str
    status: str = ""


class _Bounce(msgspec.Struct, rename="camel"):
    bounce_type: str
    bounced_recipients: list[_Recipient]
    timestamp: str
    feedback_id: str = ""
    bounce_sub_type: str = ""


class _Complaint(msgspec.Struct, rename="camel"):
    complained_recipients: list[_Recipient]
    timestamp: str
    feedback_id: str = ""
    complaint_feedback_type: str | None = None


class _Delivery(msgspec.Struct, rename="camel"):
    timestamp: str
    recipients: list[str]


class _Event(msgspec.Struct, rename="camel"):
    mail: _Mail
    event_type: str = ""
    notification_type: str = ""
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    delivery: _Delivery | None = None


def told_by_ses(message: str) -> Iterator[ProviderEvent | UnreadEvent]:
    """What the message of a notification tells. Opens and clicks of SES's own tracking are not ours."""
    return each_told([msgspec.Raw(message.encode("utf-8", "replace"))], _told, _Event)


def _told(event: _Event) -> Iterator[ProviderEvent]:
    match event.event_type or event.notification_type:
        case "Bounce" if event.bounce is not None:
            bounce = event.bounce
            kind = "bounced" if bounce.bounce_type == "Permanent" else "soft_bounced"
            reason = "/".join(filter(None, (bounce.bounce_type, bounce.bounce_sub_type)))
            addresses = [each.email_address for each in bounce.bounced_recipients]
            yield from _each(event, kind, bounce, addresses, reason)
        case "Complaint" if event.complaint is not None:
            complaint = event.complaint
            if complaint.complaint_feedback_type != _NOT_SPAM:
                addresses = [each.email_address for each in complaint.complained_recipients]
                reason = complaint.complaint_feedback_type or ""
                yield from _each(event, "complained", complaint, addresses, reason)
        case "Delivery" if event.delivery is not None:
            yield from _each(event, "delivered", event.delivery, event.delivery.recipients)
        case "Bounce" | "Complaint" | "Delivery" | "":
            raise msgspec.ValidationError("the event lacks what it is about")


def _each(
    event: _Event, kind: str, about: _Bounce | _Complaint | _Delivery, addresses: list[str], reason: str = ""
) -> Iterator[ProviderEvent]:
    time, named = microseconds(about.timestamp), getattr(about, "feedback_id", "") or event.mail.message_id
    for written in addresses:
        address = parseaddr(written)[1] or written  # a bounce may have a name around it
        whose = blake2b(address.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        yield ProviderEvent(
            id=f"ses:{kind}:{named}:{whose}",
            kind=kind,
            channel="email",
            time=time,
            reference=event.mail.reference,
            address=address,
            reason=reason,
        )
