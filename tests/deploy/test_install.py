"""The install script, in folders of its own."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "deploy" / "install.sh"
PROGRAM = os.environ["TASKLIGHT_BIN"]


def install(*arguments, fine=True):
    done = subprocess.run(["sh", SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) is fine, done.stdout + done.stderr
    return done.stdout + done.stderr


def files(folder):
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def places(tmp_path):
    prefix, etc = tmp_path / "a prefix", tmp_path / "etc"
    return ["--prefix", prefix, "--etc", etc, "--binary", PROGRAM], prefix, etc


def test_shellcheck_finds_nothing():
    for script in (SCRIPT, ROOT / "tests" / "helm" / "run.sh"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


def test_everything_is_there_again_and_again_and_goes_again(places):
    arguments, prefix, etc = places
    said = install(*arguments, "--service")
    there = files(prefix)
    assert there["bin/tasklight"] == 0o755
    for file in [
        "share/man/man1/tasklight.1",
        "share/man/man1/tasklight-serve.1",
        "share/man/man1/tasklight-token-make.1",
        "share/bash-completion/completions/tasklight",
        "share/zsh/site-functions/_tasklight",
        "share/fish/vendor_completions.d/tasklight.fish",
    ]:
        assert there[file] == 0o644, file
    version = subprocess.run([prefix / "bin" / "tasklight", "--version"], capture_output=True, text=True, timeout=30)
    assert version.returncode == 0 and version.stdout.strip() in said
    unit = (etc / "systemd/system/tasklight.service").read_text()
    assert f"ExecStart={prefix}/bin/tasklight serve" in unit

    # What is configured stays; what is no longer part of it goes.
    (etc / "tasklight/tasklight.toml").write_text("# mine\n")
    stale = prefix / "share/man/man1/tasklight-gone.1"
    stale.write_text("")
    with (prefix / "share/tasklight/installed").open("a") as installed:
        installed.write(f"{stale}\n")
    install(*arguments, "--service")
    assert files(prefix) == there
    assert (etc / "tasklight/tasklight.toml").read_text() == "# mine\n"
    # Without --service the unit is left alone, and still ours to remove.
    install(*arguments)
    assert (etc / "systemd/system/tasklight.service").exists()

    install(*arguments, "--uninstall")
    assert files(prefix) == {}
    assert files(etc).keys() == {"tasklight/tasklight.toml"}
    assert "nothing of ours" in install(*arguments, "--uninstall", fine=False)


def test_a_dry_run_changes_nothing(places):
    arguments, prefix, etc = places
    said = install(*arguments, "--service", "--dry-run")
    assert not prefix.exists() and not etc.exists()
    assert "would run: mv" in said and "tasklight.service" in said
    install(*arguments)
    before = files(prefix)
    install(*arguments, "--uninstall", "--dry-run")
    assert files(prefix) == before


def test_a_running_program_is_replaced_without_being_touched(places, tmp_path):
    arguments, prefix, _ = places
    install(*arguments)
    installed = prefix / "bin" / "tasklight"
    with installed.open("rb") as running:
        number = os.fstat(running.fileno()).st_ino
        install(*arguments)
        assert installed.stat().st_ino != number and os.fstat(running.fileno()).st_size == installed.stat().st_size


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prefix"], "--prefix needs a value"),
        (["--prefix", "here"], "must be an absolute path"),
        (["--binary", "/etc/passwd", "--prefix", "/nowhere"], "is not a program"),
        (["--what"], "Usage:"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, says):
    assert says in install(*arguments, fine=False)


def test_it_runs_with_a_plain_shell():
    dash = shutil.which("dash")
    if dash is None:
        pytest.skip("PLAIN SHELL: there is no dash here")
    assert subprocess.run([dash, "-n", SCRIPT], timeout=30).returncode == 0
