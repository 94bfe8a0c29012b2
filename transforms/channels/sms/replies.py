"""What somebody replied to a text message: STOP and START, as receipts for the control topic.

Twilio tells it by a POST to the URL that the number or messaging service names
(https://www.twilio.com/docs/messaging/guides/webhook-request), which `services/engage` answers.
"""

import hmac
import unicodedata
from base64 import b64encode
from collections.abc import Mapping

from transforms.events.times import write_time
from transforms.users.control import Receipt

__all__ = ["TWILIO_REPLIES", "TWILIO_STATUS", "is_from_twilio", "receipt_of_reply"]

#: Where the service that customers touch hears Twilio: of replies, and of what became of a message.
TWILIO_REPLIES, TWILIO_STATUS = "/v1/webhooks/twilio/replies", "/v1/webhooks/twilio/status"

#: What stands for STOP where the message is nothing but that: Twilio's words
#: (https://help.twilio.com/articles/223134027-Twilio-support-for-opt-out-keywords-SMS-STOP-filtering-), those of others
#: (https://docs.aws.amazon.com/sms-voice/latest/userguide/keywords-required.html), and what messages in Japan name.
_STOP = {
    *("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
    *("ARRET", "ARRÊT", "REMOVE", "停止", "配信停止"),
}
_START = {"START", "YES", "UNSTOP"}


def receipt_of_reply(form: Mapping[str, str], user: str, now: int) -> Receipt | None:
    """What a reply means for a user, at a time in microseconds UTC; None: nothing to Todoke.

    STOP denies text messages as a whole, START takes that back. With Advanced Opt-Out, Twilio says which it was
    (`OptOutType`), whatever the language; else the word does, in any case and width of letters. Punctuation, blanks and
    marks that nobody sees do not count (`Stop.`, `OPT-OUT`); with a digit it is another message (`Yes 2`).

    Args:
      form: what Twilio posts: `From`, `Body`, `MessageSid`, …
      user: whose number `From` is: the store's `identities` say so, kind `address`.
      now: when it came.
    """
    word = _word(form.get("OptOutType") or form.get("Body", ""))
    if word not in _STOP | _START:
        return None
    return Receipt(
        user_id=user,
        kind="unsubscribed" if word in _STOP else "resubscribed",
        channel="sms",
        time=write_time(now),
        id=f"sms:{form['MessageSid']}" if form.get("MessageSid") else "",
        address=form.get("From", ""),
        reason=word,
    )


def _word(text: str) -> str:
    """The text without what phones and people put around a word and between its letters.

    Before normalisation, too, which makes a letter and a mark of some punctuation.
    """
    letters = unicodedata.normalize("NFKC", "".join(letter for letter in text if not _is_noise(letter)))
    return "".join(letter for letter in letters if not _is_noise(letter)).upper()


def _is_noise(letter: str) -> bool:
    category = unicodedata.category(letter)
    return category in ("Cc", "Cf") or category[0] in "PZ"


def is_from_twilio(url: str, form: Mapping[str, str], signature: str, token: str) -> bool:
    """Whether a POST to a URL is signed (`X-Twilio-Signature`) with the account's auth token; without one, none is.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    made = b64encode(hmac.digest(token.encode(), signed.encode("utf-8", "surrogatepass"), "sha1"))
    return bool(token) and hmac.compare_digest(made, signature.encode("utf-8", "surrogatepass"))
