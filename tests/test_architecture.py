"""What the source text must keep to: one direction of imports, and few powers."""

import ast
import functools
import importlib
import inspect
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A module may import what stands on a line above it, and its own package.
LAYERS = [
    ["errors", "kept_programs", "precision", "progress", "types"],
    ["read", "clustering"],
    ["networks"],
    ["data"],
    ["methods"],
    ["config"],
    ["judge"],
    ["known_or_new"],
    ["tuning"],
    ["discovery"],
    ["ask", "scoring"],
    ["profiles", "store"],
    ["report"],
    ["experiment", "new_rows", "reproduce", "export"],
    ["estimator"],
    ["startup", "signals", "flags", "multihost"],
    ["app"],
    ["rerun", "usage"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MAY_SEE_THE_TRUTH = {
    "scoring",
    "experiment",
    "reproduce.cells",
    "reproduce.runner",
    "data.table",
    "data.datasets",
}
IMPORT_NAMES = {
    "absl-py": "absl",
    "charset-normalizer": "charset_normalizer",
    "ott-jax": "ott",
    "scikit-learn": "sklearn",
}


def module_name(path):
    parts = path.relative_to(ROOT / "ncd_jax").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_name(path): path for path in sorted((ROOT / "ncd_jax").rglob("*.py"))}


@functools.cache
def tree_of(name):
    return ast.parse(FILES[name].read_text())


@functools.cache
def nodes(tree):
    """All of them: walking takes longer than what is asked of them."""
    return list(ast.walk(tree))


@functools.cache
def imports(tree):
    """Every imported name, with dots: `from a import b` gives `a.b`."""
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return found


def own_imports(name):
    """Modules of the package that a module imports."""
    for imported in imports(tree_of(name)):
        if imported.startswith("ncd_jax."):
            inner = imported.removeprefix("ncd_jax.")
            yield inner if inner in FILES else inner.rpartition(".")[0]


def external_packages(tree):
    found = {name.partition(".")[0] for name in imports(tree)}
    return found - {"ncd_jax", "benchmarks", "configs", "launch"} - sys.stdlib_module_names


def identifiers(tree):
    """Names as the program uses them, not words of comments and docstrings."""
    for node in nodes(tree):
        for field in ("id", "attr", "name", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def imports_go_one_way(name):
    if not name:  # for type checkers alone; that importing it is cheap is tested elsewhere
        public = {"estimator.novel_class_discovery", "export", "methods.registry"}
        assert set(own_imports(name)) == public
        return
    here = name.partition(".")[0]
    for imported in own_imports(name):
        there = imported.partition(".")[0]
        assert here == there or LEVEL[there] < LEVEL[here], f"{name} imports {imported}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_keeps_to_the_rules(name):
    imports_go_one_way(name)
    has_few_powers(name)
    says_what_is_public(name)
    has_a_size(name)


def test_no_imports_in_circles():
    graph = {name: set(own_imports(name)) - {name} for name in FILES}
    list(TopologicalSorter(graph).static_order())


def test_nobody_imports_the_launcher():
    configs = [ast.parse(path.read_text()) for path in (ROOT / "configs").glob("*.py")]
    for tree in [*map(tree_of, FILES), *configs]:
        assert "launch" not in imports(tree)


def has_few_powers(name):
    imported = set(imports(tree_of(name)))
    packages = {i.partition(".")[0] for i in imported}
    if not name.startswith("networks"):
        assert "flax" not in packages, "only networks know Flax"
    assert not packages & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert "jax.config" not in imported
    asks = [n.value for n in nodes(tree_of(name)) if getattr(n, "attr", "") == "read"]
    for node in nodes(tree_of(name)):
        if isinstance(node, ast.Attribute) and node.attr == "config" and node not in asks:
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            assert owner != "jax" or name == "startup", "a library leaves jax.config alone"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False
    if name not in MAY_SEE_THE_TRUTH:
        assert "Truth" not in set(identifiers(tree_of(name)))


def says_what_is_public(name):
    """They exist, are sorted by the linter, and functions and classes say what they are."""
    module = importlib.import_module(f"ncd_jax.{name}".rstrip("."))
    assert module.__doc__ or not name
    if FILES[name].name == "__init__.py" and len(tree_of(name).body) <= 1:
        return
    assert module.__all__
    for public in module.__all__:
        value = getattr(module, public)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert value.__doc__, f"{public} has no docstring"
            assert not value.__doc__.startswith(f"{public}("), f"{public} has a generated docstring"


def has_a_size(name):
    """A file is as long as its idea; what needs more than this has two."""
    assert len(FILES[name].read_text().splitlines()) <= 500
    for node in nodes(tree_of(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} wants to be two"


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def declared(requirements):
        names = (re.match(r"[\w.-]+", line).group() for line in requirements)
        return {IMPORT_NAMES.get(name, name) for name in names}

    core = declared(project["dependencies"])
    extras = core.union(*map(declared, project["optional-dependencies"].values()))
    launched = [ROOT / "launch.py", *(ROOT / "configs").glob("*.py")]
    app = core | declared(project["optional-dependencies"]["app"])
    for name, tree in zip(FILES, map(tree_of, FILES), strict=True):
        is_page = name.partition(".")[0] == "app"
        missing = external_packages(tree) - (app if is_page else core)
        assert not missing, f"{name} imports {missing}"
    for path in launched:
        missing = external_packages(ast.parse(path.read_text())) - core
        assert not missing, f"{path.name} imports {missing}"
    tests = list((ROOT / "tests").rglob("*.py"))
    for path in [*(ROOT / "benchmarks").glob("*.py"), *tests]:
        missing = external_packages(ast.parse(path.read_text())) - extras - {p.stem for p in tests}
        assert not missing, f"{path.name} imports {missing}"
