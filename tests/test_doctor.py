"""The doctor against real parts, there and absent: it finds what is wrong, says how to fix it, and never breaks."""

import base64
import hashlib
import shutil
import subprocess
import sys
import time
from importlib import metadata

import pytest
from rich.console import Console

from avstream import checkpoints
from avstream.doctor import machine, models, senses
from avstream.doctor.broker import check_broker
from avstream.doctor.check import Check
from avstream.doctor.report import checks, print_checks, run
from tests.broker import Certificates, Mosquitto
from tests.display import x_server
from tests.pulse import pulse_server
from tests.stream_servers import sending
from tests.synth import make_movie
from tests.system import free_port

SECRET = "hunter2"


def shown(done, capsys, width=80):
    code = print_checks(Console(width=width, highlight=False), done)
    return code, capsys.readouterr().out


def test_all_checks_on_this_machine_with_its_parts_there(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    said = []
    with pulse_server() as pulse, x_server() as (display, _), Mosquitto(tmp_path) as broker:
        for name, value in {**pulse.env, "DISPLAY": display}.items():
            monkeypatch.setenv(name, value)
        pulse.play(tone(tmp_path / "tone.wav", seconds=120))
        with sending(make_movie(tmp_path / "a.ts", duration_s=4.0)) as sender:
            done = checks(f"mqtt://127.0.0.1:{broker.port}/home", camera=sender.url, say=said.append)
    assert said == ["speak now: listening for 3 s"]
    assert [check for check in done if check.ok is False] == []
    found = {check.name: check for check in done}
    (name,) = (name for name in found if name.startswith("camera "))
    assert found[name].ok and "first picture after" in found[name].found and "with sound" in found[name].found
    assert "dBFS at the loudest" in found["hearing"].found and "MB free; nano needs" in found["memory"].found
    needed = {
        "hearing",
        "memory",
        "Python",
        "packages",
        "this folder",
        "microphones",
        "codecs",
        "display",
        "nano models",
    }
    assert found["MQTT broker"].ok
    assert {name for name, check in found.items() if check.ok} >= needed
    assert "by default " in found["microphones"].found
    assert "torch 2." in found["packages"].found
    assert " ms" in found["nano models"].found
    code, text = shown(done, capsys)
    assert code == 0
    assert max(map(len, text.splitlines())) <= 80
    assert "FAIL" not in text and text.splitlines()[-1].startswith("all well")


def tone(path, seconds):
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"sine=440:d={seconds}", str(path)]
    subprocess.run(command, check=True)
    return path


def test_a_microphone_that_gives_nothing_is_not_called_well(monkeypatch):
    with pulse_server() as pulse:
        for name, value in pulse.env.items():
            monkeypatch.setenv(name, value)
        muted = senses.microphone("", lambda words: None)
    assert muted.ok is False and "digital silence" in muted.found and "unmute it" in muted.fix
    gone = senses.microphone("no such microphone", lambda words: None)
    assert gone.ok is False and gone.fix


def test_a_camera_that_is_not_there_is_said_without_its_password():
    check = senses.camera(f"rtsp://me:{SECRET}@127.0.0.1:{free_port()}/live")
    assert check.ok is False and check.fix and SECRET not in f"{check.name} {check.found} {check.fix}"


def test_memory_that_will_not_do_is_a_failed_line(monkeypatch):
    monkeypatch.setattr(senses, "free_memory_mib", lambda: 100)
    assert senses.memory().ok is False
    monkeypatch.setattr(senses, "free_memory_mib", lambda: senses.NEEDS_MIB + 2 * senses.FURTHER_MIB)
    assert senses.memory().ok and "up to 3" in senses.memory().found
    monkeypatch.undo()
    assert 50 < senses.free_memory_mib() < 10_000_000


def test_lines_say_state_in_words_and_how_to_fix(capsys):
    done = [Check("one", True, "there", "never shown"), Check("two", None, "absent", "get it")]
    done.append(Check("x", False, "bad", "fix it"))
    code, text = shown(done, capsys)
    assert code == 1
    assert [line.split() for line in text.splitlines()] == [
        ["ok", "one", "there"],
        ["--", "two", "absent"],
        ["->", "get", "it"],
        ["FAIL", "x", "bad"],
        ["->", "fix", "it"],
        ["one", "thing", "to", "fix"],
    ]
    assert shown(done[:2], capsys)[0] == 0


def test_a_check_that_raises_is_a_failed_line():
    def broken():
        raise ImportError("libsomething.so.6:\n no such file")

    check = run(broken, 5.0)
    assert (check.name, check.ok) == ("broken", False)
    assert check.found == "ImportError: libsomething.so.6: no such file"
    assert check.fix


def test_a_check_that_hangs_is_given_up():
    began = time.monotonic()
    check = run(lambda: time.sleep(60), 0.2, "devices")
    assert time.monotonic() - began < 10
    assert check.ok is False
    assert "no answer for 0.2 s" in check.found


def test_without_a_sound_server_there_is_no_microphone_and_it_says_why(monkeypatch):
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    check = machine.microphones()
    if check.ok:
        pytest.skip("this machine has a microphone of its own")
    assert check.ok is None
    assert "PULSE_SERVER" in check.fix


def test_without_portaudio_it_says_how_to_get_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    check = machine.microphones()
    assert check.ok is False
    assert "PortAudio library is missing" in check.found and "apt install libportaudio2" in check.fix


def test_a_display_that_is_gone_fails_and_none_is_no_fault(monkeypatch):
    with x_server() as (gone, _):
        pass
    monkeypatch.setenv("DISPLAY", gone)
    check = machine.display()
    assert check.ok is False
    assert gone in check.found and check.fix
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert machine.display().ok is None
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert "Wayland" in machine.display().found


@pytest.mark.parametrize("pygame, found, fix", [
    ("raise ModuleNotFoundError(\"No module named 'pygame'\")", "which is missing", "pip install pygame-ce"),
    ("class display: init = print", "pygame is in its place", "pip uninstall pygame"),
    ("raise SystemExit('one library; two libraries')", "one library; two libraries", "try again"),
    ("raise SystemExit('X connection to :1 broken')", "the window is gone", "start this again"),
])  # fmt: skip
def test_whatever_keeps_a_window_from_opening_is_reported_with_its_fix(monkeypatch, tmp_path, pygame, found, fix):
    (tmp_path / "pygame.py").write_text(pygame)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":1")
    check = machine.display()
    assert check.ok is False
    assert found in check.found and check.fix.startswith(fix)


def test_a_package_of_a_wrong_version_is_named_with_its_fix(monkeypatch):
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "19.0.0" if name == "av" else real(name))
    check = machine.packages()
    assert check.ok is False
    assert "av 19.0.0, expected" in check.found
    assert "pip install" in check.fix and "<19" in check.fix


def test_a_folder_that_takes_no_files_fails(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert machine.folder().ok is True
    assert list(gone.iterdir()) == []
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    check = machine.folder()
    assert check.ok is False
    assert "Permission denied" in check.found


def refuse(**_):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_nano_models_that_are_damaged_fail(monkeypatch, tmp_path, damage):
    broken = tmp_path / "nano"
    shutil.copytree(checkpoints.NANO, broken)
    for weights in (path for path in broken.rglob("*") if path.is_file() and path.stat().st_size > 200_000):
        if damage == "cut":
            weights.write_bytes(weights.read_bytes()[:100_000])
        else:
            weights.unlink()
    monkeypatch.setattr(checkpoints, "NANO", broken)
    check = models.nano()
    assert check.ok is False
    assert "pip install" in check.fix


def test_nano_files_that_differ_from_the_installed_list_are_named(monkeypatch, tmp_path):
    """What pip wrote down about a wheel; this checkout has no such list."""
    folder = tmp_path / "avstream-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: avstream\nVersion: 9\n")
    nano = tmp_path / "avstream" / "models" / "nano"
    nano.mkdir(parents=True)
    for name in ("good", "bad"):
        (nano / name).write_bytes(b"weights")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"weights").digest()).rstrip(b"=").decode()
    lines = [f"avstream/models/nano/{name},sha256={digest},7\n" for name in ("good", "bad")]
    (folder / "RECORD").write_text("".join(lines))
    installed = metadata.PathDistribution(folder)
    monkeypatch.setattr(metadata, "files", lambda name: installed.files)
    (nano / "bad").write_bytes(b"Weights")
    assert models.altered_files() == ["bad"]


def test_a_broker_that_is_not_there():
    check = check_broker(f"mqtt://me@127.0.0.1:{free_port()}", None, None)
    assert check.ok is False
    assert "connection refused" in check.found and check.fix


def test_a_broker_that_hangs_is_given_up(tmp_path):
    with Mosquitto(tmp_path) as broker:
        broker.pause()
        began = time.monotonic()
        check = check_broker(f"mqtt://127.0.0.1:{broker.port}", None, None)
    assert check.ok is False
    assert "no answer" in check.found
    assert time.monotonic() - began < 15


def test_credentials_are_used_and_never_shown(tmp_path, monkeypatch, capsys):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(SECRET + "\n")
    wrong.write_text("x" + SECRET)
    monkeypatch.delenv("AVSTREAM_MQTT_PASSWORD", raising=False)
    with Mosquitto(tmp_path, login=("annabel", SECRET)) as broker:
        url = f"mqtt://annabel@127.0.0.1:{broker.port}"
        done = [check_broker(url, right, None), check_broker(url, wrong, None), check_broker(url, None, None)]
        monkeypatch.setenv("AVSTREAM_MQTT_PASSWORD", SECRET)
        done.append(check_broker(url, None, None))
        done.append(check_broker(f"mqtt://annabel:{SECRET}@127.0.0.1:{broker.port}", None, None))
    assert [check.ok for check in done] == [True, False, False, True, False]
    assert "refuses the user name or the password" in done[1].found
    code, text = shown(done, capsys)
    assert code == 1
    assert SECRET not in text and "annabel" not in text
    assert SECRET not in repr(done)


def test_a_certificate_must_be_trusted(tmp_path):
    certificates = Certificates(tmp_path / "certificates")
    with Mosquitto(tmp_path, certificates=certificates) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        assert check_broker(url, None, certificates.ca).ok is True
        check = check_broker(url, None, None)
    assert check.ok is False
    assert "not trusted" in check.found and "--mqtt-cafile" in check.fix
