"""How a job of memberships ends: whenever it dies and is tried again, the folder is the same, and never half of a run
as a whole.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from beam_pipelines import memberships
from beam_pipelines.backfill_options import Backfill, parse
from transforms.errors import RunFailed

DEFINITIONS = "segments: {buyers: {owner: crm, members: {event: Order Completed}}}\n"
PARTS = 4
SUMS = {"read": 9, "applied": 8, "users": 3, "segment buyers": 2}


@pytest.fixture
def asked(tmp_path: Path) -> Backfill:
    (tmp_path / "d.yaml").write_text(DEFINITIONS)
    (tmp_path / "events.jsonl").write_text("{}\n")
    flags = [f"--definitions={tmp_path / 'd.yaml'}", f"--events={tmp_path / 'events.jsonl'}"]
    out = f"--out={tmp_path / 'out'}"
    return parse([*flags, "--as-of=2026-03-01T00:00:00Z", "--write=memberships", out])[0]


def write_parts(asked: Backfill, parts: int, said: str) -> Path:
    folder = Path(memberships.unfinished(asked))
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(parts):
        (folder / f"{part:05}.parquet").write_text(f"{said} {part}")
    return folder


def held(out: Path) -> dict[str, Any]:
    return {str(file.relative_to(out)): file.read_text() for file in out.rglob("*") if file.is_file()}


@pytest.mark.parametrize("named", range(PARTS + 1))
def test_a_try_that_died_after_any_file_is_made_good_by_the_next(asked: Backfill, tmp_path: Path, named: int) -> None:
    out = tmp_path / "out"
    write_parts(asked, PARTS + 2, "older")
    memberships.finish(asked, "columns", SUMS, PARTS + 2)
    made = write_parts(asked, PARTS, "newer")
    (out / "manifest.json").unlink()
    for part in range(named):  # by the try before
        (made / f"{part:05}.parquet").rename(out / f"memberships-{part:05}.parquet")
    for _ in range(2):  # also where it had ended, and nobody heard of it
        report = memberships.finish(asked, "columns", SUMS, PARTS)
        found = held(out)
        assert json.loads(found.pop("manifest.json")) == report == memberships.read_manifest(str(out))
        assert found == {f"memberships-{part:05}.parquet": f"newer {part}" for part in range(PARTS)}
    assert (report["members"], report["duplicates"], report["users"]) == (2, 1, 3)


def test_a_folder_without_all_files_has_no_manifest(asked: Backfill, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_parts(asked, PARTS, "older")
    memberships.finish(asked, "columns", SUMS, PARTS)
    write_parts(asked, PARTS, "newer")
    (out / "manifest.json").unlink()
    (out / "memberships-00001.parquet").unlink()
    (out / "memberships-00001.parquet").mkdir()  # cannot take the place of a folder
    with pytest.raises(OSError, match="memberships-00001"):
        memberships.finish(asked, "columns", SUMS, PARTS)
    assert not (out / "manifest.json").exists()
    with pytest.raises(RunFailed, match=r"memberships-0000\d\.parquet is not there"):
        memberships.finish(asked, "columns", SUMS, PARTS + 20)
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize("read", [9, 10])
def test_what_is_whole_stays_where_a_later_run_has_lost_a_file(asked: Backfill, tmp_path: Path, read: int) -> None:
    out = tmp_path / "out"
    write_parts(asked, PARTS, "older")
    memberships.finish(asked, "columns", SUMS, PARTS)
    whole = held(out)
    write_parts(asked, PARTS - 1, "newer")  # a run that began beside it has deleted the last
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"memberships-00003\.parquet is not there"):
            memberships.finish(asked, "columns", SUMS | {"read": read}, PARTS)
        assert {name: said for name, said in held(out).items() if not name.startswith("unfinished/")} == whole


def test_what_somebody_left_goes_before_a_job_begins(asked: Backfill, tmp_path: Path) -> None:
    write_parts(asked, 2, "dead")
    memberships.begin(f"{tmp_path}/out/")
    assert held(tmp_path / "out") == {}


@pytest.mark.parametrize("made_before", range(PARTS + 1))
def test_of_two_at_once_the_one_that_began_later_makes_the_folder(
    asked: Backfill, tmp_path: Path, made_before: int
) -> None:
    later = msgspec.structs.replace(
        asked, as_of=asked.as_of + 1, config=msgspec.structs.replace(asked.config, launched=asked.config.launched + 1)
    )
    write_parts(asked, made_before, "first")
    memberships.begin(f"{tmp_path}/out")
    write_parts(later, PARTS, "second")
    write_parts(asked, PARTS - 1 if made_before else PARTS, "first")  # it goes on, and knows of nothing
    if made_before:
        with pytest.raises(RunFailed, match="another run began to write the folder"):
            memberships.finish(asked, "columns", SUMS, PARTS)
    else:  # all of it was made since
        memberships.finish(asked, "columns", SUMS, PARTS)
    report = memberships.finish(later, "columns", SUMS, PARTS)
    found = held(tmp_path / "out")
    assert json.loads(found["manifest.json"]) == report
    names = {name: said for name, said in found.items() if name.startswith("memberships-")}
    assert names == {f"memberships-{part:05}.parquet": f"second {part}" for part in range(PARTS)}
