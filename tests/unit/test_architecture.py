"""The import rules of tests/architecture.py hold for the tree as it is, and nothing happens at import.

Checked on the source (ast), so that an import inside a function counts too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests.architecture import EDGES, EXCEPTIONS, IMPURE_MODULES, IMPURE_NAMES, LIBRARY_LIVES_IN, MAY_IMPORT, PURE

ROOT = Path(__file__).parents[2]
OURS = ("shared", "services", "cli")
FOLDERS = (*OURS, "tests", "bench", "docs", "deploy", ".ci")


def name_of(path: Path) -> str:
    """`services/state/store.py`."""
    return path.relative_to(ROOT).as_posix()


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    return tuple(sorted(path for folder in OURS for path in (ROOT / folder).rglob("*.py")))


@lru_cache(maxsize=512)
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@lru_cache(maxsize=1)
def modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in files())


def imported(path: Path) -> Iterator[str]:
    """Full names of everything `path` imports: `shared.contracts.money`, `redis`. Relative ones are refused below."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else node.module


def folder_of(path: Path) -> str:
    """The row of MAY_IMPORT for a file, with a service's own name in the place of `*`."""
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] == "cli" else "/".join(parts[:2])


def allowed(folder: str) -> tuple[str, ...]:
    for pattern, packages in MAY_IMPORT.items():
        if fnmatch(folder, pattern):
            return (*packages, folder.replace("/", "."))
    raise AssertionError(f"{folder} has no row in MAY_IMPORT: add one")


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_a_folder_imports_only_what_its_row_allows(path: Path) -> None:
    if path.parent in {ROOT / "shared", ROOT / "services"}:  # the packages' own __init__.py, empty
        assert not path.read_text().strip()
        return
    ours = [module for module in imported(path) if module.partition(".")[0] in OURS]
    packages = allowed(folder_of(path))
    assert [module for module in ours if not any(is_within(module, package) for package in packages)] == []


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_a_library_is_imported_only_where_it_lives(path: Path) -> None:
    name = name_of(path)
    libraries = {module.partition(".")[0] for module in imported(path)} & set(LIBRARY_LIVES_IN)
    assert [one for one in sorted(libraries) if not any(fnmatch(name, home) for home in LIBRARY_LIVES_IN[one])] == []


def is_pure(name: str) -> bool:
    edge = any(fnmatch(Path(name).name, pattern) for pattern in EDGES) and name.startswith("services/")
    return any(fnmatch(name, pattern) for pattern in PURE) and not edge


def impurities(path: Path) -> list[str]:
    """What in `path` has, or asks, something that no message says: a clock, chance, the disk, the network."""
    found = [module for module in imported(path) if any(is_within(module, impure) for impure in IMPURE_MODULES)]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [word for word in IMPURE_NAMES if called == word or (called.endswith(f".{word}") and "." in word)]
            found += [
                word for word in IMPURE_NAMES if "." not in word and word != "open" and called.endswith(f".{word}")
            ]
        if isinstance(node, ast.ImportFrom) and node.module == "uuid":
            found += [alias.name for alias in node.names if alias.name in IMPURE_NAMES]
    return sorted(set(found))


@pytest.mark.parametrize("path", [path for path in files() if is_pure(name_of(path))], ids=name_of)
def test_a_pure_file_knows_no_clock_no_chance_no_disk_and_no_network(path: Path) -> None:
    if name_of(path) not in EXCEPTIONS:
        assert impurities(path) == []


def test_every_exception_is_still_one_and_says_why() -> None:
    for name, reason in EXCEPTIONS.items():
        assert (ROOT / name).exists(), f"{name} is gone: strike it out"
        assert is_pure(name), f"{name} is an edge: strike it out"
        assert impurities(ROOT / name), f"{name} is pure now: strike it out"
        assert len(reason.split()) >= 3, name


def test_no_two_modules_import_each_other_by_any_way_round() -> None:
    by_name = {module_name(path): path for path in files()}
    follows = {name: sorted(set(imported(path)) & set(by_name)) for name, path in by_name.items()}
    finished: set[str] = set()
    for start in sorted(by_name):
        way: list[str] = []
        assert (cycle := _cycle(start, follows, way, finished)) is None, " -> ".join(cycle or ())


def _cycle(name: str, follows: dict[str, list[str]], way: list[str], finished: set[str]) -> list[str] | None:
    if name in way:
        return [*way[way.index(name) :], name]
    if name in finished:
        return None
    way.append(name)
    for other in follows[name]:
        if (found := _cycle(other, follows, way, finished)) is not None:
            return found
    finished.add(way.pop())
    return None


def test_imports_name_the_whole_way() -> None:
    relative = [
        f"{name_of(path)}:{node.lineno}"
        for path in files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize("path", [path for path in files() if path.stat().st_size], ids=name_of)
def test_a_module_says_what_it_is_for_and_no_docstring_only_repeats_a_name(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree), "a docstring at the head of the file"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and (
            text := ast.get_docstring(node)
        ):
            words = set(re.findall(r"[a-z0-9`]+", text.lower()))  # a name in backticks says where it belongs
            own = set(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", node.name).lower()))
            assert words - own - {"the", "a", "an", "of", "to"}, f"{node.name}: its docstring adds nothing"


@pytest.mark.parametrize(
    "path",
    [path for path in files() if path.name == "__main__.py" and path.parent.parent.name == "services"],
    ids=name_of,
)
def test_every_process_starts_with_settings_then_logs_then_the_bus(path: Path) -> None:
    calls = [
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in ("start", "configure_logs", "connect")
    ]
    order = {name: calls.index(name) for name in ("start", "configure_logs", "connect")}
    assert all(order[one] < order[other] for one, other in pairwise(("start", "configure_logs", "connect"))), calls


WATCHED_IMPORTS = """
import importlib, sys

effects = []
EVENTS = ("socket.", "subprocess.", "os.mkdir", "os.remove", "os.rename", "os.fork", "sqlite3.connect", "_thread.start",
          "signal.", "ctypes.dlopen", "os.putenv")

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and any(letter in arguments[1] for letter in "wax+")
    if not (writes or event.startswith(EVENTS)):
        return
    frame = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        if frame.f_code.co_filename.startswith(sys.argv[1]) and "site-packages" not in frame.f_code.co_filename:
            effects.append(f"{frame.f_globals['__name__']}: {event}")
            return
        frame = frame.f_back

sys.addaudithook(watch)
for name in sys.argv[2:]:
    importlib.import_module(name)
print(*effects, sep="\\n", end="")
"""
AT_IMPORT = {"shared.runtime.children: ctypes.dlopen"}
"""Loading the C library that is loaded anyway: no effect."""


def test_importing_any_module_does_nothing() -> None:
    names = sorted(name for name in modules() if name not in OURS)
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED_IMPORTS, str(ROOT), *names], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(done.stdout.splitlines()) - AT_IMPORT == set()


def committed_texts() -> Iterator[Path]:
    """Files of the project's own folders, and beside them; not what runs leave behind."""
    tops = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    yield from sorted(path for path in (*tops, *inside) if "__pycache__" not in path.parts)


def test_nothing_names_a_machine_or_where_packages_were_fetched_from() -> None:
    words = {
        "a folder of somebody's machine": re.compile(
            rb"(?<![\w.~-])/(?:wor" rb"k|roo" rb"t|hom" rb"e/\w+|User" rb"s/\w+)/"
        ),
        "the address of a registry": re.compile(rb"https?://\S*(?:py" rb"pi|pythonho" rb"sted|/sim" rb"ple)"),
    }
    found = [
        f"{name_of(path)}: {what}"
        for path in committed_texts()
        for what, word in words.items()
        if word.search(path.read_bytes())
    ]
    assert found == []


def test_the_lock_file_is_the_one_with_hashes_and_the_only_one() -> None:
    assert not (ROOT / "uv.lock").exists()
    pinned = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if re.match(r"[a-z]", line)]
    assert pinned
    assert all(re.match(r"[a-z0-9_.\-\[\]]+==\S+ .*\\$", line) for line in pinned)


def test_every_requirement_is_pinned_with_hashes_and_comes_from_nowhere_in_particular() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    one = r"^([a-z0-9_.\-]+)(?:\[[a-z,]+\])?==([^\s;]+)(?: ; [^\n]+?)? \\\n"
    pinned = re.findall(rf"{one}((?:    --hash=sha256:[0-9a-f]{{64}}(?: \\)?\n)+)", text, re.M)
    lines = [line for line in text.splitlines() if line and not line.startswith(("    --hash=sha256:", "#"))]
    assert len(pinned) == len(lines) > 50
    wanted = re.findall(r"^([A-Za-z0-9_.\-]+)", (ROOT / "requirements.in").read_text(encoding="utf-8"), re.M)
    assert {name.lower().replace("_", "-") for name in wanted} <= {name for name, *_ in pinned}
    for file in ("requirements.lock", "requirements.in", "pyproject.toml"):
        held = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(r"https?://|git\+|--(extra-)?index-url|--find-links|--trusted-host|file:", held), file
