"""The plans of both examples, made once."""

import pytest
from plans import IMAGE, SIZES, Plan, planned


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    """The plans of both examples, with an image."""
    found = {}
    for size in SIZES:
        flags = (f"-var-file=examples/{size}/terraform.tfvars", f"-var=image={IMAGE}")
        done, plan = planned(tmp_path_factory.mktemp(size), *flags)
        assert done.returncode == 0, done.stdout + done.stderr
        found[size] = Plan(plan.read_text("utf-8"))
    return found


@pytest.fixture(params=SIZES)
def plan(request: pytest.FixtureRequest, plans: dict[str, Plan]) -> Plan:
    return plans[request.param]
