"""When a message may be acknowledged, on an engine that goes back to its checkpoints as Flink does."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from transforms.events.accounted.covered import REMEMBERED, Held, Marks


class Engine:
    """One key of the last step. Its runner calls every bundle final that has ended when a checkpoint is completed; it
    waits for no answer, so that a process may hear of it late.
    """

    def __init__(self, processes: int) -> None:
        self.held = [Held(f"process {number}") for number in range(processes)]
        self.marks: Marks = {}
        #: What came to the step in this timeline, what the checkpoint under way has of it, and the one to go back to.
        self.came: set[str] = set()
        self.snapshot: tuple[Marks, set[str]] | None = None
        self.completed: tuple[Marks, set[str]] = {}, set()
        self.open: list[Callable[[], list[str]]] = []
        #: What was called final, and the process has not heard of.
        self.untold: list[Callable[[], list[str]]] = []
        self.acknowledged: set[str] = set()

    def bundle(self, process: int, handles: list[str], *, beat: bool) -> None:
        held = self.held[process]
        self.marks = held.enter(self.marks)
        if beat:
            self.open.append(held.begin())
        held.add(handles)
        self.came |= {*handles}

    def begin_checkpoint(self) -> None:
        if self.snapshot is None:
            self.snapshot = self.marks, set(self.came)

    def complete_checkpoint(self, *, told: bool = True) -> None:
        if self.snapshot is not None:
            self.completed, self.snapshot = self.snapshot, None
            self.untold += self.open
            self.open = []
        if told:
            self.tell(len(self.untold))

    def tell(self, many: int) -> None:
        """The process hears of some of the bundles that are final."""
        heard, self.untold = self.untold[:many], self.untold[many:]
        for each in heard:
            self.acknowledged |= {*each()}

    def go_back(self, restarted: int | None) -> None:
        """A worker died: the process of that number, or one that had none of the key."""
        self.marks, self.came = self.completed[0], set(self.completed[1])
        self.snapshot, self.open = None, []
        if restarted is not None:
            self.held[restarted] = Held(f"process {restarted} again {id(self.held[restarted])}")

    @property
    def lost(self) -> set[str]:
        """What is acknowledged, and in no checkpoint that the engine may go back to."""
        return self.acknowledged - self.completed[1]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("bundle"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("begin"), st.just(0), st.just(False)),
        st.tuples(st.just("complete"), st.just(0), st.booleans()),
        st.tuples(st.just("tell"), st.integers(1, 3), st.just(False)),
        st.tuples(st.just("back"), st.integers(0, 2), st.just(False)),
    ),
    max_size=60,
)


def play(engine: Engine, steps: list[tuple[str, int, bool]], *, processes: int) -> None:
    for number, (step, which, beat) in enumerate(steps):
        if step == "bundle":
            engine.bundle(which % processes, [f"m{number}"], beat=beat)
        elif step == "begin":
            engine.begin_checkpoint()
        elif step == "complete":
            engine.complete_checkpoint(told=beat)
        elif step == "tell":
            engine.tell(which)
        else:
            engine.go_back(which if which < processes else None)
        assert not engine.lost


@given(STEPS)
def test_nothing_is_acknowledged_that_the_engine_may_forget(steps: list[tuple[str, int, bool]]) -> None:
    play(Engine(1), steps, processes=1)


@given(STEPS)
def test_nor_where_a_key_moves_between_processes(steps: list[tuple[str, int, bool]]) -> None:
    play(Engine(2), steps, processes=2)


@given(STEPS)
def test_what_stays_is_acknowledged_by_the_third_checkpoint(steps: list[tuple[str, int, bool]]) -> None:
    engine = Engine(1)
    play(engine, steps, processes=1)
    engine.bundle(0, ["last"], beat=False)
    for _ in range(3):
        engine.complete_checkpoint()
        engine.begin_checkpoint()
        engine.bundle(0, [], beat=True)
    engine.complete_checkpoint()
    assert "last" in engine.acknowledged
    assert not len(engine.held[0])


def test_the_first_finalisation_proves_nothing() -> None:
    """Flink's runner says it of a bundle that ended after the snapshot."""
    engine = Engine(1)
    engine.begin_checkpoint()
    engine.bundle(0, ["late"], beat=True)
    engine.complete_checkpoint()
    assert engine.acknowledged == set()


def test_a_process_that_hears_late_of_a_checkpoint_takes_it_for_no_later_one() -> None:
    engine = Engine(1)
    engine.bundle(0, [], beat=True)
    engine.begin_checkpoint()
    engine.complete_checkpoint(told=False)
    engine.begin_checkpoint()
    engine.bundle(0, ["late"], beat=False)  # after the second snapshot, before the first is heard of
    engine.tell(1)
    engine.bundle(0, [], beat=True)
    engine.complete_checkpoint()
    assert engine.acknowledged == set()


def test_a_key_remembers_the_latest_processes() -> None:
    marks: Marks = {}
    for number in range(3 * REMEMBERED):
        marks = Held(f"process {number}").enter(marks)
    assert list(marks) == [f"process {number}" for number in range(2 * REMEMBERED, 3 * REMEMBERED)]
