"""Starting and ending: what is taken is named, and what was started is ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import FAKE_SIMULATOR, Account, settings_in
from holdfast_local import processes, stack
from holdfast_local.settings import Settings
from test_executions import make_function

HERE = Path(__file__).resolve().parents[1]


def run(state: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    own = {"HOLDFAST_STATE": str(state), "HOLDFAST_PORT": "0", "HOLDFAST_SIM_PORT": "0", "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "holdfast_local", *arguments]
    return subprocess.run(command, env={**os.environ, **own, **variables}, capture_output=True, text=True, check=False)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Give settings for a stack that the test may kill."""
    made = settings_in(tmp_path)
    yield made
    stack.down(made)


@pytest.mark.parametrize("variable", ["HOLDFAST_PORT", "HOLDFAST_SIM_PORT"])
def test_a_taken_port_is_named_with_its_holder_and_the_variable(tmp_path: Path, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(tmp_path, "up", "--simulator", str(FAKE_SIMULATOR), **{variable: port})
    assert ended.returncode == 1
    assert f"Port {port} cannot be used: process {os.getpid()} (" in ended.stderr
    assert f"Set {variable} to another port" in ended.stderr
    assert not list(tmp_path.glob("*.pid"))


def test_a_missing_simulator_is_named(tmp_path: Path) -> None:
    ended = run(tmp_path, "up", "--simulator", str(tmp_path / "none"))
    assert ended.returncode == 1
    assert "make functions" in ended.stderr


def test_a_port_that_is_no_port_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, "up", HOLDFAST_PORT="http")
    assert ended.returncode == 1
    assert "HOLDFAST_PORT=http: not a port" in ended.stderr


def test_down_is_harmless_when_nothing_runs(tmp_path: Path) -> None:
    assert run(tmp_path, "down").stdout == "Nothing was running.\n"
    assert run(tmp_path, "status").returncode == 1


def test_a_process_that_becomes_another_program_is_seen_all_the_while(tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.write_text('#!/bin/sh\nexec "$0"\n')
    again.chmod(0o755)
    pid_file = tmp_path / "again.pid"
    processes.start([again], mark="m", environment={"PATH": "/bin"}, log=tmp_path / "log", pid_file=pid_file)
    try:
        assert all(processes.leader_runs(pid_file) for _ in range(300))
    finally:
        processes.stop(pid_file)


def test_down_ends_everything_after_the_launcher_was_killed(settings: Settings) -> None:
    started = stack.up(settings, print)
    account = Account(started, "000000000000")
    arn = make_function(account, "echo", account.role("function"))
    account.client("lambda").invoke(FunctionName=arn)
    launcher = stack.pid_file(settings, "ministack")
    leader, *functions = processes.running(launcher)
    assert functions, "the function runs as a process of its own"
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    assert stack.find(settings) is None
    simulator = processes.running(stack.pid_file(settings, "ec2-sim"))
    stack.down(settings)
    for pid in [*functions, *simulator]:
        assert not _runs(pid)
    assert stack.down(settings) == 0


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_another_process_with_a_remembered_number_is_left_alone(settings: Settings) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        stack.pid_file(settings, "ministack").write_text(f"{stranger.pid} another-mark\n")
        assert stack.down(settings) == 0
        assert stranger.poll() is None
        stranger.kill()


def test_a_second_up_leaves_the_stack_as_it_is(settings: Settings) -> None:
    assert stack.up(settings, print) == stack.up(settings, print)


def test_two_stacks_run_side_by_side(local: stack.Stack, settings: Settings) -> None:
    second = stack.up(settings, print)
    ours, theirs = Account(local, "123456789012"), Account(second, "123456789012")
    ours.client("s3").create_bucket(Bucket="only-here")
    assert theirs.client("s3").list_buckets()["Buckets"] == []


def test_the_environment_file_points_a_shell_at_the_stack(settings: Settings) -> None:
    started = stack.up(settings, print)
    show = f'. {settings.state}/env && echo "$AWS_ENDPOINT_URL $AWS_REGION ${{AWS_PROFILE-none}} $HOLDFAST_SIM_URL"'
    shell = subprocess.run(["sh", "-c", show], env={"AWS_PROFILE": "mine"}, capture_output=True, text=True, check=True)
    assert shell.stdout.split() == [started.endpoint, "us-east-1", "none", started.simulator]
