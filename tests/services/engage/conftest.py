from collections.abc import Iterator
from pathlib import Path

import pytest
from engage_service import Service, serving
from touched_shop import DEFINITIONS


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, DEFINITIONS) as service:
        yield service
