"""Starting, ending and looking at one local stack: the simulator, and MiniStack in front of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from holdfast_local import processes
from holdfast_local.ports import free_port, require_free
from holdfast_local.settings import HOST, REGION, Settings

_SIMULATOR = "ec2-sim"
_MINISTACK = "ministack"
_START_SECONDS = 60.0


class StackError(Exception):
    """The stack cannot do what was asked; the message says what to do about it."""


@dataclass(frozen=True)
class Stack:
    """Where a stack that was started answers."""

    stack_id: str
    endpoint: str
    simulator: str
    state: str

    def environment(self) -> dict[str, str]:
        """Give the variables by which SDKs, the AWS CLI and SAM find this stack.

        The access key `test` is the root user of account 000000000000; see ../README.md for other accounts.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": f"{HOST},localhost",
            "HOLDFAST_SIM_URL": self.simulator,
            "HOLDFAST_STATE": self.state,
            "HOLDFAST_OUTPUTS": str(Path(self.state) / "outputs.json"),
            "HOLDFAST_PORT": self.endpoint.rpartition(":")[2],
            "HOLDFAST_SIM_PORT": self.simulator.rpartition(":")[2],
        }


# What a user's shell may hold that would lead an AWS client somewhere else.
MISLEADING = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EC2")


def pid_file(settings: Settings, name: str) -> Path:
    """Give the file that says which process `name` is."""
    return settings.state / f"{name}.pid"


def find(settings: Settings) -> Stack | None:
    """Give the stack that runs in this state folder, whole and answering; else None."""
    try:
        stack = Stack(**json.loads((settings.state / "stack.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    alive = all(processes.leader_runs(pid_file(settings, name)) for name in (_SIMULATOR, _MINISTACK))
    return stack if alive and _answers(f"{stack.endpoint}/_holdfast/health") else None


def require(settings: Settings) -> Stack:
    """Give the running stack."""
    stack = find(settings)
    if stack is None:
        raise StackError(f"No local stack runs in {settings.state}. Start one with `make local`.")
    return stack


def up(settings: Settings, say: Callable[[str], None]) -> Stack:
    """Start the stack and wait until it answers. One that runs already stays as it is."""
    if stack := find(settings):
        say(f"The local stack runs already: {stack.endpoint}")
        return stack
    if down(settings):
        say("Ended what was left of an earlier stack.")
    if not os.access(settings.simulator, os.X_OK):
        raise StackError(
            f"There is no EC2 simulator at {settings.simulator}. Build it with `make functions`, "
            "or name another in HOLDFAST_SIM_BINARY."
        )
    for port, variable in ((settings.simulator_port, "HOLDFAST_SIM_PORT"), (settings.port, "HOLDFAST_PORT")):
        if port:
            require_free(port, variable)
    settings.logs.mkdir(parents=True, exist_ok=True)
    stack_id = uuid.uuid4().hex
    try:
        simulator = _start_simulator(settings, stack_id)
        stack = _start_ministack(settings, stack_id, simulator)
    except BaseException:
        down(settings)
        raise
    (settings.state / "stack.json").write_text(json.dumps(asdict(stack)))
    (settings.state / "env").write_text(_exports(stack))
    return stack


def down(settings: Settings) -> int:
    """End what `up` started and give how many processes that were; harmless when nothing runs."""
    ended = 0
    for name in (_MINISTACK, _SIMULATOR):
        if pid_file(settings, name).exists():
            ended += processes.stop(pid_file(settings, name))
    # All state was in memory: what is left on disk describes nothing any more.
    for pattern in ("stack.json", "env", "outputs*.json", "deployed*.json"):
        for path in settings.state.glob(pattern):
            path.unlink(missing_ok=True)
    shutil.rmtree(settings.state / "tmp", ignore_errors=True)
    return ended


def _start_simulator(settings: Settings, stack_id: str) -> str:
    log = settings.logs / f"{_SIMULATOR}.log"
    processes.start(
        [settings.simulator, "--host", HOST, "--port", str(settings.simulator_port)],
        mark=stack_id,
        environment=_clean_environment(),
        log=log,
        pid_file=pid_file(settings, _SIMULATOR),
    )

    def address() -> str | None:
        for line in log.read_text(errors="replace").splitlines():
            before, found, url = line.partition("listening on ")
            if found and not before:
                return url.strip()
        return None

    url = _await(address, settings, _SIMULATOR)
    _await(lambda: _answers(f"{url}/_sim/health"), settings, _SIMULATOR)
    return url


def _start_ministack(settings: Settings, stack_id: str, simulator: str) -> Stack:
    port = settings.port or free_port()
    stack = Stack(stack_id=stack_id, endpoint=f"http://{HOST}:{port}", simulator=simulator, state=str(settings.state))
    temporary = settings.state / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {
        **_clean_environment(),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        # Functions get it only if it is set here.
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "HOLDFAST_SIM_URL": simulator,
        "LOG_LEVEL": os.environ.get("HOLDFAST_LOCAL_LOG", "INFO"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        # Unpacked functions, S3 objects and MiniStack's own pid file.
        "TMPDIR": str(temporary),
        "S3_DATA_DIR": str(temporary / "s3"),
        # Neither listeners nor containers that nobody here needs.
        "DOCKER_HOST": "unix:///nonexistent",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    processes.start(
        [sys.executable, "-m", "holdfast_local.launcher"],
        mark=stack_id,
        environment=environment,
        log=settings.logs / f"{_MINISTACK}.log",
        pid_file=pid_file(settings, _MINISTACK),
    )
    _await(lambda: _answers(f"{stack.endpoint}/_holdfast/health"), settings, _MINISTACK)
    return stack


def _clean_environment() -> dict[str, str]:
    """Keep the user's AWS settings and proxies away from the stack and from the functions that inherit from it."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "RUST_BACKTRACE", "TZ")
    nothing = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **nothing}


def _await(ask: Callable[[], object], settings: Settings, name: str):
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        if not processes.leader_runs(pid_file(settings, name)):
            raise StackError(f"{name} ended while it was starting.\n{_last_words(settings, name)}")
        time.sleep(0.05)
    raise StackError(f"{name} did not answer within {_START_SECONDS:.0f} s.\n{_last_words(settings, name)}")


def _last_words(settings: Settings, name: str) -> str:
    log = settings.logs / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-15:]
    return "\n".join([f"The end of {log}:", *(f"  {line}" for line in lines)])


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _exports(stack: Stack) -> str:
    lines = [
        "# Source this file to point SDKs, the AWS CLI and SAM at the local stack.",
        f"unset {' '.join(MISLEADING)}",
    ]
    lines += [f"export {name}={value}" for name, value in stack.environment().items()]
    return "\n".join(lines) + "\n"
