"""Step Functions: an execution's time-out, endings that stay, and the output of a `Succeed` state.

- MiniStack ignores the top-level `TimeoutSeconds`: here the execution becomes `TIMED_OUT` and says so to EventBridge.
- A task that fails after its execution was stopped would turn `ABORTED` into `FAILED`: an ending is final.
- A JSONata `Output` of a `Succeed` state is ignored: here it is evaluated.
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import stepfunctions


class _Deadline:
    """How much of an execution's time is left. Virtual waits use it up as real ones do."""

    def __init__(self, execution: dict, seconds: float) -> None:
        self._execution = execution
        self._ends = time.monotonic() + seconds
        self._seconds = seconds
        self._lock = threading.Lock()
        # The timer's thread has no account and region of its own.
        self._context = contextvars.copy_context()
        self._timer = self._timer_for(seconds)

    def spend(self, seconds: float) -> None:
        """Take the length of a virtual wait off what is left. Children of a map wait side by side."""
        with self._lock:
            self._ends -= seconds
            self._timer.cancel()
            self._timer = self._timer_for(self._ends - time.monotonic())

    def cancel(self) -> None:
        self._timer.cancel()

    def _timer_for(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(max(seconds, 0), self._context.copy().run, [self._time_out])
        timer.daemon = True
        timer.start()
        return timer

    def _time_out(self) -> None:
        execution = self._execution
        if execution["status"] != "RUNNING":
            return
        execution["status"] = "TIMED_OUT"
        execution["error"] = "States.Timeout"
        execution["stopDate"] = now_iso()
        stepfunctions._add_event(
            execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
        )
        stepfunctions._emit_execution_status_event(execution)


_deadline: contextvars.ContextVar[_Deadline | None] = contextvars.ContextVar("holdfast_deadline", default=None)


def spend_virtually(seconds: float) -> None:
    """Count a virtual wait against the time-out of the execution that waits."""
    if deadline := _deadline.get():
        deadline.spend(seconds)


def install() -> None:
    """Mend the three places."""
    run, fail = stepfunctions._run_execution, stepfunctions._fail_execution
    apply_output_path = stepfunctions._apply_output_path

    def run_until_deadline(execution_arn: str) -> None:
        execution = stepfunctions._executions.get(execution_arn)
        seconds = _timeout_seconds(execution)
        if seconds is None:
            run(execution_arn)
            return
        deadline = _Deadline(execution, seconds)
        _deadline.set(deadline)
        try:
            run(execution_arn)
        finally:
            deadline.cancel()

    def fail_once(execution: dict, error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    def output(state: dict, data: Any, context: dict | None = None) -> Any:
        if state.get("Type") == "Succeed" and stepfunctions._state_query_language(state, context) == "JSONata":
            return stepfunctions._apply_jsonata_output(state, data, context, default=data)
        return apply_output_path(state, data, context)

    stepfunctions._run_execution = run_until_deadline
    stepfunctions._fail_execution = fail_once
    stepfunctions._apply_output_path = output


def _timeout_seconds(execution: dict | None) -> float | None:
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) if execution else None
    try:
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
    except ValueError:
        return None
    return seconds if isinstance(seconds, (int, float)) else None
