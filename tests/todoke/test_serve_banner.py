"""The first event that `todoke serve` proposes: what its campaign needs, and nothing that others do."""

from todoke.serve.banner import FirstEvent, first_event
from transforms.campaigns.load import compiled
from transforms.identity.channels import REGION, channels

CLINIC = """\
campaigns:
  booked: {owner: desk, trigger: {event: Appointment Booked}, reenter: never, consent: care, steps: [{send: see_you}]}
  news: {owner: growth, trigger: {event: Signed Up}, reenter: never, consent: news, steps: [{send: [hello, hi]}]}
messages:
  see_you: {channel: sms, text: "See you at {{ event.at }}, {{ user.title }}", from: CLINIC}
  hello: {channel: email, subject: "Hello from {{ event.clinic }}", text: Hello}
  hi: {channel: push, title: "{{ user.first_name }}, {{ event.clinic }}, {{ event.dentist | default: 'x' }}"}
"""


def test_it_has_the_consent_and_the_properties_that_its_campaign_needs_and_no_others() -> None:
    first = first_event(compiled((("clinic.yaml", CLINIC),)))
    assert (first.name, first.concerns) == ("Appointment Booked", ", concerns the campaign booked")
    assert first.grants == [{"topic": "care", "channel": "sms", "granted": True}]
    assert (list(first.traits), list(first.properties)) == (["title", "phone"], ["at"])
    assert channels()["sms"].addresses({**first.traits, REGION: ""})
    second = first_event(compiled((("clinic.yaml", CLINIC.replace("{event: Appointment Booked}", "{event: any}")),)))
    assert (second.name, second.traits, second.properties) == ("Signed Up", {}, {"clinic": 1})
    assert [grant["channel"] for grant in second.grants] == ["email"]


def test_it_is_one_that_the_trigger_takes_or_says_that_its_properties_are_for_you_to_write() -> None:
    def first(where: str) -> FirstEvent:
        trigger = f"{{event: Appointment Booked, where: {{{where}}}}}"
        return first_event(compiled((("clinic.yaml", CLINIC.replace("{event: Appointment Booked}", trigger)),)))

    filled = first("kind: {is: new}, visits: {at_most: 2}")
    assert (filled.concerns, filled.properties) == (
        ", concerns the campaign booked",
        {"at": 1, "kind": "new", "visits": 2},
    )
    left = first("kind: {is: new}, place.city: {starts_with: Ber}")
    assert left.concerns == ", with the properties that its `where` asks for, concerns the campaign booked"
    assert left.properties == {"at": 1, "kind": "new"}
