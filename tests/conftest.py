"""The emulators, and the package as it is installed elsewhere.

One emulator of each kind runs for the whole session; a test has an instance or a project of its own there.

`BIGTABLE_EMULATOR_HOST` and `PUBSUB_EMULATOR_HOST` are set for the test only, and what it starts inherits them. Without
the emulators such tests are skipped, and fail where CI is set.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest
from emulators import Emulator, EmulatorMissing, Instance, Project, start_bigtable, start_pubsub
from signatures import remember_signatures
from strength import CI
from wheels import build, copy_source, install

from tools.flink import Cluster, FlinkMissing, NoNamespace, cluster
from transforms.storage.open import open_reader, open_store
from transforms.storage.reader import Reader
from transforms.storage.store import Store

# No test depends on timing: a busy machine is no failure. `--hypothesis-profile=` names another; `make test-long` does.
# What `quick` finds is kept under .hypothesis and tried first the next time.
hypothesis.settings.register_profile("quick", deadline=None, max_examples=CI // 10)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=CI)
hypothesis.settings.register_profile("long", deadline=None, max_examples=CI * 40)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "quick")
remember_signatures()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of live jobs, kills and Prism, `make test` takes one of each; with `CI` set, or its profile named, all run.

    What is slowest goes first, so that it does not run alone at the end, and by one worker, which starts the cluster.
    """
    items.sort(key=lambda item: "flink" not in getattr(item, "fixturenames", ()))
    if hypothesis.settings().max_examples < CI:
        for item in items:
            if item.get_closest_marker("all_in_ci"):
                item.add_marker(pytest.mark.skip(reason="another of its kind is run; all are with CI=true"))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A test is named after bytes' parameter, not by the bytes: a compressed file holds the time of its making.

    Workers of pytest-xdist that name a test differently refuse to run any.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def bigtable_emulator() -> Iterator[Emulator]:
    """Shared; tests ask for `bigtable`."""
    yield from running(start_bigtable)


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[Emulator]:
    """Shared; tests ask for `pubsub`."""
    yield from running(start_pubsub)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources of the package; tests leave it as it is."""
    return copy_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built."""
    return build(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment into which it is installed."""
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv")


@pytest.fixture(scope="session")
def prism() -> str:
    """Beam's local runner for live streams, which is not downloaded for a test."""
    from todoke.prism import find_prism

    found = find_prism()
    if found.path is None:
        missing = "no Prism and no Go to build it: `make prism`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return str(found.path)


@pytest.fixture(scope="session")
def promtool() -> str:
    """The tool of Prometheus that checks rules and tests them."""
    fetched = Path(__file__).parents[1] / ".tools" / "promtool" / "promtool"
    found = str(fetched) if fetched.exists() else shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool: `make promtool`, or Debian's package prometheus")
    return found


@pytest.fixture(scope="session")
def flink_pubsub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The socket at which the workers of `flink` look for Pub/Sub: a path leads out of their network namespace."""
    return tmp_path_factory.mktemp("flink") / "pubsub"


@pytest.fixture(scope="session")
def flink(flink_pubsub: Path) -> Iterator[Cluster]:
    """A cluster of Flink with two TaskManagers; a test that kills one starts another.

    It is skipped where there may be no network namespace for it.
    """
    with ExitStack() as ended:
        try:
            started = ended.enter_context(pytest.MonkeyPatch.context())
            started.setenv("PUBSUB_EMULATOR_HOST", f"unix:{flink_pubsub}")
            made = ended.enter_context(cluster(2))
        except FlinkMissing as missing:
            if os.environ.get("CI") and not isinstance(missing, NoNamespace):
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        started.undo()  # the processes of the cluster have it
        yield made


@pytest.fixture(params=["sqlite", "bigtable"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store; a test that asks for it runs once with each kind."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("bigtable").url)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store of each kind."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
def reader(store: Store, url: str) -> Iterator[Reader]:
    """The same store, for reading alone, while it is open for writing too."""
    reader = open_reader(url)
    yield reader
    reader.close()


@pytest.fixture
def bigtable(bigtable_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Instance:
    """An empty instance, without tables."""
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_emulator.host)
    return Instance(bigtable_emulator.host, unique("project"), unique("instance"))


@pytest.fixture
def pubsub(pubsub_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, without topics."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.host)
    return Project(pubsub_emulator.host, unique("project"))


def running(start: Callable[[], Emulator]) -> Iterator[Emulator]:
    try:
        emulator = start()
    except EmulatorMissing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    yield emulator
    emulator.stop()


def unique(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:12]}"
