"""The document says what links answer, whatever is asked of them: with links that are genuine, and with any others."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from engage_service import KEYS, Service, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from strength import examples
from touched_shop import DEFINITIONS, links, path, sent

from services.engage.app import PARTS

LINKS = links(KEYS)
GENUINE = {
    "/c/{token}": LINKS.click(sent(), "hero", "https://shop.example/a", 3),
    "/o/{token}": LINKS.open(sent()),
    "/u/{token}": LINKS.unsubscribe(sent()),
    "/p/{token}": LINKS.preferences(sent()),
}
#: No schema says which links are genuine, and which form a page had.
NOT_SAID = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("document"), DEFINITIONS, PARTS) as service:
        service.know({"type": "identify", "traits": {"email": "ann@shop.example"}})
        yield service


@pytest.mark.parametrize("where", GENUINE)
def test_whatever_is_asked_of_a_link_is_answered_as_the_document_says(served: Service, where: str) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", served.app)
    operations = (found.ok() for found in schema.get_all_operations())
    asked = [operation for operation in operations if operation.path == where]
    assert asked
    for operation in asked:

        @settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(), st.booleans())
        def ask(case: Any, genuine: bool) -> None:
            served.clock.now += 60_000_000
            if genuine:
                case.path_parameters = {"token": path(GENUINE[where])[3:]}
            case.call_and_validate(excluded_checks=NOT_SAID, allow_redirects=False)

        ask()
