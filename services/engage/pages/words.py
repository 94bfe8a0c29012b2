"""The words of pages by language, and which language somebody reads."""

import re
from collections.abc import Iterable, Mapping

from transforms.messages.definitions import Text, locale_key

__all__ = ["WORDS", "in_words", "language_of", "locales_of"]

_EN = {
    "leave_title": "Unsubscribe",
    "leave": "No more messages about {topic} by {channel}.",
    "leave_all": "No more messages by {channel}.",
    "leave_button": "Unsubscribe",
    "left_title": "You are unsubscribed",
    "left": "You will get no more messages about {topic} by {channel}.",
    "left_all": "You will get no more messages by {channel}.",
    "more": "Choose what you get",
    "title": "What you want to hear of",
    "lead": "Choose what we may send you, and how.",
    "save": "Save",
    "none": "Unsubscribe from everything",
    "saved": "Saved. It may take a minute until it counts everywhere.",
    "nothing": "There is nothing to choose from.",
    "old_title": "This page is too old",
    "old": "Open the link in the message again.",
    "other_title": "This link is of another address",
    "other": "It came to an address that is no longer yours. Use the link of a newer message.",
    "email": "e-mail",
    "inbox": "inbox",
    "line": "LINE",
    "push": "notifications",
    "sms": "text message",
}
_JA = {
    "leave_title": "配信停止",
    "leave": "「{topic}」の{channel}の配信を停止します。",
    "leave_all": "{channel}の配信をすべて停止します。",
    "leave_button": "配信を停止する",
    "left_title": "配信を停止しました",
    "left": "「{topic}」の{channel}は今後届きません。",
    "left_all": "{channel}は今後届きません。",
    "more": "配信設定を変更する",
    "title": "配信設定",
    "lead": "受け取りたい内容と方法をお選びください。",
    "save": "保存する",
    "none": "すべての配信を停止する",
    "saved": "保存しました。反映まで1分ほどかかることがあります。",
    "nothing": "選べる項目がありません。",
    "old_title": "ページの有効期限が切れました",
    "old": "メッセージのリンクをもう一度開いてください。",
    "other_title": "別の宛先のリンクです",
    "other": "現在お使いでない宛先に届いたリンクです。新しいメッセージのリンクをお使いください。",
    "email": "メール",
    "inbox": "お知らせ",
    "line": "LINE",
    "push": "プッシュ通知",
    "sms": "SMS",
}
#: By language.
WORDS: Mapping[str, Mapping[str, str]] = {"en": _EN, "ja": _JA}

#: RFC 9110, 12.5.4; what is longer is no list of a browser.
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?\s*")
_LONGEST, _MOST = 400, 20


def locales_of(accepted: str, *others: str | None) -> list[str]:
    """The locales that somebody reads, the best first: what the browser accepts, then `others`, each with its language.

    Args:
      accepted: the header Accept-Language.
      others: the user's locale, and the default one.
    """
    found: list[tuple[float, int, str]] = []
    for place, part in enumerate(accepted[:_LONGEST].split(",")[:_MOST]):
        match = _RANGE.fullmatch(part)
        if match is not None and (weight := float(match[2] or 1)) > 0:
            found.append((-weight, place, match[1]))
    named = [*(name for _, _, name in sorted(found)), *(each for each in others if each)]
    keys = [locale_key(name) for name in named]
    return list(dict.fromkeys(key for name in keys for key in (name, name.partition("-")[0])))


def language_of(locales: Iterable[str]) -> str:
    """The first of these in which there are words, else English."""
    return next((locale for locale in locales if locale in WORDS), "en")


def in_words(text: Text | None, locales: Iterable[str], otherwise: str) -> str:
    """A text in the first of these locales that it has, else in any; `otherwise` where there is none."""
    if text is None:
        return otherwise
    wanted = next((locale for locale in ("", *locales) if locale in text.sources), None)
    return text.sources[wanted] if wanted is not None else next(iter(text.sources.values()), otherwise)
