"""A shop whose customers touch what it sends."""

from transforms.campaigns.effects import Send
from transforms.channels.links import Links

DEFINITIONS = """
policies:
  default_locale: en
  tracking: {opens: true, clicks: true, schemes: [shop]}
  preferences:
    topics:
      offers: {name: {en: Offers, ja: お得情報}, about: {en: "Up to one a week <b>"}}
      news: {name: {en: News, ja: ニュース}}
      silent: {name: Nobody sends about this}
campaigns:
  hello: {owner: o, trigger: {event: A}, reenter: always, consent: news,
          steps: [{send: [hello_push, hello_mail]}]}
  offer: {owner: o, trigger: {event: B}, reenter: always, consent: offers, steps: [{send: hello_mail}]}
  other: {owner: o, trigger: {event: C}, reenter: always, consent: "<script>alert(1)</script>", steps: [{send: call}]}
  odd: {owner: o, trigger: {event: C}, reenter: always, consent: "\\"><script>alert(1)</script>",
        steps: [{send: hello_mail}]}
messages:
  hello_push: {channel: push, title: Hi}
  hello_mail: {channel: email, subject: Hi, html: "<a href='https://shop.example/a'>a</a>"}
  call: {channel: webhook, url: "https://shop.example", body: x}
"""
BASE = "https://links.shop.example"


def sent(
    address: str = "ann@shop.example", *, channel: str = "email", topic: str | None = "news", user: str = "ann"
) -> Send:
    id_ = "40d92fe6721279ecd56e7fc4"
    return Send(id_, "hello", "e", "mail", user, channel, "hello_mail", address, 0, 1, topic=topic)


def path(url: str) -> str:
    return url.removeprefix(BASE)


def links(keys: object) -> Links:
    return Links(BASE, keys)  # type: ignore[arg-type]
