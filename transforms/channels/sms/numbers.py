"""Phone numbers, written as networks know them."""

from functools import lru_cache

import phonenumbers

__all__ = ["e164"]


#: No number is written in more characters, whatever stands between its digits.
_LONGEST = 100


def e164(text: str, region: str) -> str:
    """A number in E.164, such as +819012345678; empty for what cannot be one.

    One without a country code is of `region` (ISO 3166), and none where that is empty. That a number is as long as
    those of its country is all that is asked: which are given out, their providers know better than any table. One with
    an extension is none: no text message reaches an extension.
    """
    return _e164(text, region) if len(text) <= _LONGEST else ""


@lru_cache(maxsize=4096)
def _e164(text: str, region: str) -> str:
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if number.extension or not phonenumbers.is_possible_number(number):
        return ""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
