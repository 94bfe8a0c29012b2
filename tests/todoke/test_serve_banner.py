"""The first event that `todoke serve` proposes: what its campaign needs, and nothing that others do."""

from todoke.serve.banner import first_event
from transforms.campaigns.load import compiled

CLINIC = """\
campaigns:
  booked: {owner: desk, trigger: {event: Appointment Booked}, reenter: always, consent: visits, steps: [{send: see_you}]}
  news: {owner: growth, trigger: {event: Signed Up}, reenter: always, consent: news, steps: [{send: [hello, hello_push]}]}
messages:
  see_you: {channel: sms, text: "See you at {{ event.at }}", from: CLINIC}
  hello: {channel: email, subject: "Hello from {{ event.clinic }}", text: Hello}
  hello_push: {channel: push, title: "Hello from {{ event.clinic }}, {{ event.dentist | default: 'all of us' }}"}
"""


def test_it_has_the_consent_and_the_properties_that_its_campaign_needs_and_no_others() -> None:
    first = first_event(compiled((("clinic.yaml", CLINIC),)))
    assert (first.name, first.concerns) == ("Appointment Booked", ", concerns the campaign booked")
    assert first.grants == [{"topic": "visits", "channel": "sms", "granted": True}]
    assert first.needs == ["at"]
    second = first_event(compiled((("clinic.yaml", CLINIC.replace("{event: Appointment Booked}", "{event: any}")),)))
    assert (second.name, second.needs) == ("Signed Up", ["clinic"])
    assert [grant["channel"] for grant in second.grants] == ["email"]
