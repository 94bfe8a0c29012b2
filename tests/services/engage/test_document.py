"""The OpenAPI document says what is answered: whatever is asked by it, nothing else comes back, and never a 500."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from engage_service import Service, serving
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from strength import examples
from test_app_receipts import KEY
from test_inbox_api import person, row
from test_sendgrid import KEY as SENDGRID_KEY
from test_sendgrid import public
from test_sns import TOPIC, Amazon
from test_standard_webhooks import SECRET
from test_user_tokens import KEYS, token
from webhook_cases import known

from services.collect.keys import Keys, KeySource
from services.engage.access import EngageAccess
from services.engage.app import PARTS
from services.engage.webhooks.sendgrid import SendgridKeys

ACCESS = EngageAccess(
    inbox_keys=KEYS,
    write_keys=Keys([KeySource((KEY,), "shop")]),
    url="https://engage.shop.example",
    ses_topics=frozenset({TOPIC}),
    sendgrid_keys=SendgridKeys([public(SENDGRID_KEY)]),
    receipt_secrets=(SECRET,),
    twilio_tokens=("token",),
    line_secrets=("secret",),
    fetch=Amazon().fetch,
)
BASIC = {"Authorization": f"Basic {b64encode(f'{KEY}:'.encode()).decode()}"}
#: No schema says which cursors, times and references are genuine, so what it allows may be refused.
OURS = ("/v1/inbox", "/v1/receipts", "/v1/webhooks")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("document"), access=ACCESS, parts=PARTS) as service:
        known(service)
        service.store.write_users([person("ann")])
        service.store.write_inbox([row("ann", f"a{number}") for number in range(3)])
        yield service


def test_whatever_is_asked_is_answered_as_the_document_says(served: Service) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.app)
    asked = 0
    for operation in (found.ok() for found in schema.get_all_operations()):
        if not operation.path.startswith(OURS):
            continue
        asked += 1

        @settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy())
        def ask(case: Any) -> None:
            path = case.operation.path
            bearer = {"Authorization": f"Bearer {token()}"}
            headers = bearer if path.startswith("/v1/inbox") else BASIC if path == "/v1/receipts" else {}
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        ask()
    assert asked == 12


def test_every_route_is_in_the_document(served: Service) -> None:
    said = served.ask("GET", "/openapi.json").json()
    assert said["openapi"] == "3.1.0"
    paths = [path for part in PARTS for path in part.paths if path.startswith(OURS)]
    routes = {route.path for part in PARTS for route in part.routes(served.desk)}
    assert set(paths) <= routes
    assert {path for path in routes if path.startswith(OURS)} == set(paths)
