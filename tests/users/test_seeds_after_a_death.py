"""A process that died after it wrote to the archive: a seed of the archive has only what its user has applied."""

import pytest
from core import DAY, HOUR, MINUTE, START, compile_plain
from releases import publish, release_of
from shells import track
from test_archive_seeds_agree import Job
from test_crashed_writes import Died, Dying

from transforms.campaigns.load import compiled
from transforms.users.user import Wake
from transforms.users.write_batch import WriteBatch, open_users

OLD = {"segments": {"any": {"members": {"event": "Other"}}}}
SPENT = {"event": "Ordered", "sum": {"of": "revenue", "between": [30, 30]}}


def test_what_was_archived_and_not_applied_counts_once() -> None:
    plain = {"segments": {**OLD["segments"], "thirty": {"members": SPENT}}}
    compile_plain(plain)
    first = release_of(OLD)
    activation = START + HOUR
    job = Job(compiled(first))
    orders = [track("Ordered", at * MINUTE, f"o{at}", properties={"revenue": 10}) for at in (0, 1, 2)]
    job.take("u1", orders[0])
    batch = WriteBatch(job.definitions, Dying(job.store, "write_users", 1, done=False))  # type: ignore[arg-type]
    batch.apply(open_users(job.store, ["u1"])["u1"], [orders[1]])  # type: ignore[arg-type]
    with pytest.raises(Died):
        list(batch.flush())
    job.take("u1", orders[2])
    assert len(job.store.read_events("u1")) == 3
    job.definitions = compiled(publish(first, plain, START + 30 * MINUTE, activation))
    job.take("u1", Wake(activation + MINUTE))
    (seed,) = job.seeds(activation)
    job.take(*seed)
    assert "thirty" not in job.users["u1"].members, "one of the three has not been applied"
    job.take("u1", orders[1])  # it is delivered again
    for each in job.seeds(activation):
        job.take(*each)
    job.take("u1", Wake(START + DAY))
    assert "thirty" in job.users["u1"].members
