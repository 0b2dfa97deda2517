"""Step Functions waits that take no time: the simulator's clock moves instead.

For an account whose waits are virtual, every `Wait` state and every pause before a retry advances the simulator's
clock of that account by its full length and returns at once. Off by default. Executions that run side by side in one
account each advance the clock by their own waits, so a measurement wants one execution at a time.
"""

from __future__ import annotations

import http.client
import json
import threading
from urllib.parse import urlsplit

from ministack.core.responses import get_account_id
from ministack.services import stepfunctions

from holdfast_local.launcher import executions

_on: set[str] = set()
_lock = threading.Lock()


def switch(account: str, *, on: bool) -> None:
    """Make the waits of an account virtual, or real again."""
    with _lock:
        (_on.add if on else _on.discard)(account)


def accounts() -> list[str]:
    """Give the accounts whose waits are virtual."""
    with _lock:
        return sorted(_on)


def install(simulator: str) -> None:
    """Replace the one function in which all of Step Functions' waiting ends up."""
    sleep = stepfunctions._scaled_sleep

    def wait(seconds: float) -> None:
        account = get_account_id()
        if account not in accounts():
            sleep(seconds)
        elif seconds > 0:
            _advance(simulator, account, seconds)
            executions.spend_virtually(seconds)

    stepfunctions._scaled_sleep = wait


def _advance(simulator: str, account: str, seconds: float) -> None:
    address = urlsplit(simulator)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        body = json.dumps({"seconds": int(seconds) if float(seconds).is_integer() else seconds})
        headers = {"content-type": "application/json"}
        connection.request("POST", f"/_sim/clock/advance?account={account}", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the simulator would not advance its clock: {answer.status} {answer.read()[:200]!r}")
    finally:
        connection.close()
