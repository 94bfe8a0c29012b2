"""The page of metrics has every metric with its labels."""

import re
from pathlib import Path

from transforms.users.measures import METRICS

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "metrics.md"


def test_every_metric_is_on_the_page_with_its_labels():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*) \|([^|]*)\|[^|]*\|$", text, re.MULTILINE)
    labels = {name: set(re.findall(r"`(\w+)`", said)) for names, said in rows for name in re.findall(r"`(\w+)`", names)}
    assert labels == {name: set(metric.labels) for name, metric in METRICS.items()}
