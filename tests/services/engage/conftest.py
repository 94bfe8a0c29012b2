from collections.abc import Iterator
from pathlib import Path

import pytest
from engage_service import Service, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as service:
        yield service
