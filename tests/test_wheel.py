"""What `pip install` gives people: the wheel has all that the command needs, and works without the checkout."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, cwd, **environment):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an empty environment that the wheel was installed into. The packages it depends on are ours."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("avstream-*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    # a folder that is named here is no place of its own for .pth files, such as that of an editable avstream
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_command_works_without_the_checkout(installed, tmp_path):
    where = run(installed, "-c", "import avstream; print(avstream.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parents[1])
    assert "narrate" in run(installed.parent / "avstream", "--help", cwd=tmp_path)
    presets = run(installed.parent / "avstream", "presets", cwd=tmp_path, COLUMNS="160")
    assert "tiny-llava" in presets and "embedded" in presets


def test_the_wheel_holds_the_package_and_nothing_else(installed, tmp_path):
    code = "import importlib.metadata; print(*importlib.metadata.files('avstream'), sep='\\n')"
    files = [Path(line) for line in run(installed, "-c", code, cwd=tmp_path).splitlines()]
    inside = {file for file in files if file.parts[0] == "avstream" and "__pycache__" not in file.parts}
    checked_out = [
        *(path for path in (ROOT / "avstream").rglob("*") if path.is_file() and "__pycache__" not in path.parts),
        *(ROOT / "configs").iterdir(),
    ]
    want = {path.relative_to(ROOT) for path in checked_out}
    want = {Path("avstream", *path.parts) if path.parts[0] == "configs" else path for path in want}
    assert inside == want
    assert {file.parts[0] for file in files if file.parts[0] not in ("avstream", "..")} == {
        next(file.parts[0] for file in files if file.parts[0].endswith(".dist-info"))
    }
