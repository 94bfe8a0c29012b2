"""The service does what its OpenAPI document says, whatever is sent (schemathesis)."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from collect_service import KEY, Service, serving
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from strength import examples

from services.collect.openapi import document

#: What the document's schemas do not say whole: which call has what it needs. A batch with bad calls is taken.
NOT_SAID = [positive_data_acceptance, negative_data_rejection]
#: The service that runs.
RUNNING: list[Service] = []


async def ask(*said: Any) -> None:
    await RUNNING[-1].app(*said)


SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.app = ask
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("collect")) as service:
        RUNNING.append(service)
        yield service


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_each_answer_is_one_that_the_document_has(running: Service, operation: Any) -> None:
    @settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy())
    def answered(case: schemathesis.Case) -> None:
        case.call_and_validate(auth=(KEY, ""), excluded_checks=NOT_SAID)

    answered()


def test_the_document_is_that_of_the_service(running: Service) -> None:
    assert len(OPERATIONS) > 20
    assert running.ask("GET", "/openapi.json").json() == document()
