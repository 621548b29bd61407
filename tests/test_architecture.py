"""The package keeps its shape: who imports whom, and what a command costs before it does anything."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "avstream"
STAGES = {"encoders", "alignment", "substitution", "language", "localization", "listeners"}
LIGHT = {
    "records",
    "errors",
    "vocabulary",
    "wording",
    "level",
    "redact",
    "graphs",
}  # anyone may import these, and they import nobody heavy
MAY = {
    "records": set(),
    "errors": set(),
    "graphs": {"errors"},
    "level": set(),
    "redact": set(),
    "vocabulary": set(),
    "wording": {"records", "vocabulary"},
    "sentences": {"records", "vocabulary", "wording"},
    "config": LIGHT | {"events", "listeners"},
    "events": LIGHT,
    "caution": LIGHT,
    "checkpoints": {"errors", "config", "listeners"},
    "windows": LIGHT,
    "sources": LIGHT | {"workers"},
    "troubles": LIGHT,
    "drawing": LIGHT | {"troubles"},
    "sinks": LIGHT | {"troubles", "drawing", "sources", "events"},
    "nano": LIGHT | STAGES,
    "torch_models": LIGHT | STAGES | {"checkpoints", "config", "workers"},
    "loading": LIGHT | STAGES | {"checkpoints", "config", "nano", "torch_models", "windows", "workers"},
    "comparison": LIGHT | STAGES | {"config", "loading", "torch_models", "narrator", "sources", "windows"},
    "narrator": LIGHT | STAGES | {"windows", "loading", "sentences"},
    "workers": set(),
    "decoding": set(),
    "api": LIGHT | {"config", "events", "loading", "loop", "narrator", "outlets", "sinks", "sources", "stream"},
    "outlets": LIGHT | {"sinks", "workers"},
    "stream": LIGHT | {"caution", "events", "outlets", "sinks", "sources", "windows"},
    "loop": LIGHT | {"outlets", "stream", "workers"},
    "testing": LIGHT | {"sinks"},
    "doctor": LIGHT | {"listeners", "checkpoints", "config", "loading", "narrator", "sinks", "sources", "workers"},
} | {stage: LIGHT for stage in STAGES}
MAY["language"] = LIGHT | {"decoding"}


def module(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """The modules of avstream that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("avstream.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "avstream":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("avstream."):
            found.add(node.module.split(".")[1])
    return found - {module(path)}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    if module(path) in MAY:
        assert imported_modules(path) <= MAY[module(path)]
    else:
        assert module(path) in {"__init__", "__main__", "cli", "commands"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package_never_imports_the_pipelines(path):
    assert "pipelines" not in path.read_text(encoding="utf-8").replace("python -m pipelines", "")


def test_help_needs_no_torch_and_little_time():
    code = (
        "import sys, time, contextlib\n"
        "from avstream.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print('torch' in sys.modules, time.process_time())"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    torch_came, cpu_s = output.splitlines()[-1].split()
    assert torch_came == "False"
    assert float(cpu_s) < 0.5
