"""Which folder may import which, where Beam may stand, and how long a module may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What stands beside the folders of `transforms/`, imports none of them, and may be imported by all.
FIRST = ["account", "errors", "job", "logs"]
#: Each folder of `transforms/` may import itself and the folders before it.
ORDER = ["statistics", "storage", "events", "identity", "segments", "messages", "slos", "campaigns"]
ORDER += ["users", "channels", "metrics", "views"]
MODULES = sorted((ROOT / "transforms").rglob("*.py"))
PLAIN = [path for path in MODULES if path.name != "transforms.py"]
LONGEST = 400


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a module imports anywhere in it, with those that stand after `from x import`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole name in place of a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_a_folder_imports_itself_and_those_before_it() -> None:
    assert {path.name for path in (ROOT / "transforms").iterdir() if (path / "__init__.py").exists()} == set(ORDER)
    wrong = []
    for path in MODULES:
        folder = path.relative_to(ROOT).parts[1]
        allowed = [*FIRST, *ORDER[: ORDER.index(folder) + 1]] if folder in ORDER else []
        for name in imported(path):
            top, _, rest = name.partition(".")
            if top in ("beam_pipelines", "todoke", "tests", "bench") or (
                top == "transforms" and rest.partition(".")[0] not in allowed
            ):
                wrong.append(f"{dotted(path)} imports {name}")
    assert not wrong


def test_only_modules_named_transforms_load_beam() -> None:
    """Neither by an import nor by any way round."""
    wrong = [
        f"{dotted(path)} imports {name}"
        for path in PLAIN
        for name in imported(path)
        if name.partition(".")[0] == "apache_beam" or ".transforms." in name
    ]
    assert not wrong
    names = [dotted(path) for path in PLAIN]
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'apache_beam' not in sys.modules, f'{name} loads Beam'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_services_stand_over_the_transforms_and_load_no_beam() -> None:
    modules = sorted((ROOT / "services").rglob("*.py"))
    wrong = [
        f"{dotted(path)} imports {name}"
        for path in modules
        for name in imported(path)
        if name.partition(".")[0] in ("apache_beam", "beam_pipelines", "todoke", "tests", "bench")
        or (name.startswith("transforms.") and ".transforms." in name)
    ]
    assert not wrong
    script = (
        "import importlib, sys\n"
        f"for name in {[dotted(path) for path in modules]!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'apache_beam' not in sys.modules, f'{name} loads Beam'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_module_is_too_long() -> None:
    folders = ("beam_pipelines", "services", "transforms", "todoke", "templates", "tests", "bench")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in modules}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
