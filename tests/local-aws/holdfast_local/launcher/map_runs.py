"""Distributed maps in JSONata: `Items`, `ItemSelector`, `Assign` and `Output`, and children that are executions.

MiniStack reads a distributed map as if it were JSONPath: it takes the state's input for the items, and knows neither
variables nor the result. Here each item is an execution of its own, as on AWS: it has its own id and input, it does
not see its parent's variables, and it ends when its parent is stopped. The state machine's role must be allowed to
start it. Items from S3, batches of items and results in S3 are refused.
"""

from __future__ import annotations

import contextvars
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ministack.core.responses import new_uuid, now_iso
from ministack.services import stepfunctions

from holdfast_local.launcher import service_roles

_UNKNOWN = ("ItemReader", "ItemBatcher", "ResultWriter")
# The most children at the same time. AWS allows 10,000; here each is a thread.
_MOST_AT_ONCE = 64
_OUTCOMES = {"RUNNING": "running", "SUCCEEDED": "succeeded", "FAILED": "failed", "ABORTED": "aborted"}

# The execution whose child this is.
_parent: contextvars.ContextVar[dict | None] = contextvars.ContextVar("holdfast_parent", default=None)


class _Stopped(Exception):  # noqa: N818 - not an error of the state machine: nothing may catch it
    """The parent has ended."""


class _MapRun:
    """One map run: its items, its children and how they ended."""

    def __init__(self, state: dict, data: Any, execution: dict, context: dict) -> None:
        """Evaluate the state's fields and make the run known to `ListMapRuns`."""
        self._state, self._data, self._execution, self._context = state, data, execution, context
        self._items = stepfunctions._jsonata_state_field(state, "Items", "array", data, context)
        self._lock = threading.Lock()
        _, _, _, self._region, self._account, _, name = execution["stateMachineArn"].split(":", 6)
        self._label = f"{name}/{state.get('Label') or new_uuid()}"
        self._machine = self._arn("stateMachine", self._label)
        self._most = int(self._number("MaxConcurrency"))
        self.record = {
            "mapRunArn": self._arn("mapRun", f"{self._label}:{new_uuid()}"),
            "executionArn": execution["executionArn"],
            "status": "RUNNING",
            "startDate": now_iso(),
            "maxConcurrency": self._most,
            "toleratedFailurePercentage": self._number("ToleratedFailurePercentage"),
            "toleratedFailureCount": int(self._number("ToleratedFailureCount")),
            "redriveCount": 0,
            "_stateMachineArn": self._machine,
        }
        self._children: list[dict | None] = [None] * len(self._items)
        self._count()
        stepfunctions._map_runs[self.record["mapRunArn"]] = self.record

    def run(self) -> list[Any]:
        """Run every item to its end and give their outputs, in the order of the items."""
        workers = min(self._most or _MOST_AT_ONCE, _MOST_AT_ONCE)
        with ThreadPoolExecutor(max_workers=workers) as pool:
            # Each with a context of its own: MiniStack keeps the account and the region there.
            waiting = [pool.submit(contextvars.copy_context().run, self._child, i) for i in range(len(self._items))]
        outputs = [child.result() for child in waiting]
        failed = sum(child["status"] == "FAILED" for child in self._children if child)
        stopped = self._execution["status"] != "RUNNING"
        self.record["status"] = "ABORTED" if stopped else "FAILED" if self._is_too_much(failed) else "SUCCEEDED"
        self.record["stopDate"] = now_iso()
        if self.record["status"] == "FAILED":
            raise stepfunctions._ExecutionError(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )
        return outputs

    def _is_too_much(self, failed: int) -> bool:
        percentage = self.record["toleratedFailurePercentage"]
        by_count = "ToleratedFailureCount" in self._state and failed > self.record["toleratedFailureCount"]
        by_share = "ToleratedFailurePercentage" in self._state and failed * 100 > percentage * len(self._items)
        is_tolerant = {"ToleratedFailureCount", "ToleratedFailurePercentage"} & self._state.keys()
        return by_count or by_share or (failed > 0 and not is_tolerant)

    def _number(self, field: str) -> float:
        if field not in self._state:
            return 0
        return stepfunctions._jsonata_state_field(self._state, field, "number", self._data, self._context)

    def _arn(self, kind: str, rest: str) -> str:
        return f"arn:aws:states:{self._region}:{self._account}:{kind}:{rest}"

    def _child(self, index: int) -> Any:
        _parent.set(self._execution)
        name = new_uuid()
        child = {
            "executionArn": self._arn("execution", f"{self._label}:{name}"),
            "stateMachineArn": self._machine,
            "name": name,
            "status": "RUNNING",
            "startDate": now_iso(),
            "stopDate": None,
            "input": "{}",
            "inputDetails": {"included": True},
            "output": None,
            "outputDetails": {"included": True},
            "mapRunArn": self.record["mapRunArn"],
            "events": [],
            "mockAttempts": {},
        }
        self._children[index] = child
        self._count()
        try:
            given = self._input(index)
            child["input"] = json.dumps(given)
            stepfunctions._executions[child["executionArn"]] = child
            output = self._walk(child, given)
            child.update(status="SUCCEEDED", output=json.dumps(output))
        except _Stopped:
            child.update(status="ABORTED")
        except stepfunctions._ExecutionError as error:
            child.update(status="FAILED", error=error.error, cause=error.cause)
        except Exception as error:  # a definition that MiniStack cannot follow
            child.update(status="FAILED", error="States.Runtime", cause=str(error))
        child["stopDate"] = now_iso()
        self._count()
        return output if child["status"] == "SUCCEEDED" else None

    def _input(self, index: int) -> Any:
        item = self._items[index]
        if "ItemSelector" not in self._state:
            return item
        context = {**self._context, "Map": {"Item": {"Index": index, "Value": item}}}
        return stepfunctions._apply_jsonata_template(self._state["ItemSelector"], self._data, context)

    def _walk(self, child: dict, given: Any) -> Any:
        processor = self._state["ItemProcessor"]
        context = {
            "QueryLanguage": processor.get("QueryLanguage") or self._context["QueryLanguage"],
            "Execution": {
                "Id": child["executionArn"],
                "Input": given,
                "Name": child["name"],
                "StartTime": child["startDate"],
            },
            "StateMachine": {"Id": self._machine, "Name": self._label},
            "variables": {},
        }
        return stepfunctions._run_sub_machine(processor["States"], processor["StartAt"], given, child, context)

    def _count(self) -> None:
        with self._lock:
            found = Counter(_OUTCOMES[child["status"]] if child else "pending" for child in self._children)
            others = ("timedOut", "resultsWritten", "failuresNotRedrivable", "pendingRedrive")
            names = ("pending", *_OUTCOMES.values(), *others)
            counts = {**{name: found[name] for name in names}, "total": len(self._children)}
            self.record.update(itemCounts=counts, executionCounts=dict(counts))


def install() -> None:
    """Take over the distributed maps whose items JSONata selects, and end children whose parent has ended."""
    run_map = stepfunctions._run_map_items

    def run_map_items(state: dict, data: Any, execution: dict, context: dict) -> tuple[Any, str | None]:
        mode = ((state.get("ItemProcessor") or {}).get("ProcessorConfig") or {}).get("Mode")
        if mode != "DISTRIBUTED" or stepfunctions._state_query_language(state, context) != "JSONata":
            return run_map(state, data, execution, context)
        return _run_distributed(state, data, execution, context)

    stepfunctions._run_map_items = run_map_items
    for name in ("_execute_task", "_execute_wait", "_execute_choice"):
        setattr(stepfunctions, name, _unless_stopped(getattr(stepfunctions, name)))


def _run_distributed(state: dict, data: Any, execution: dict, context: dict) -> tuple[Any, str | None]:
    if unknown := [field for field in _UNKNOWN if field in state]:
        raise stepfunctions._ExecutionError("States.Runtime", f"{', '.join(unknown)}: not known on this machine")
    if why := service_roles.machine_denial("states:StartExecution", execution["stateMachineArn"]):
        raise stepfunctions._ExecutionError("States.Permissions", why)
    results = _MapRun(state, data, execution, context).run()
    output = stepfunctions._apply_jsonata_output(state, data, context, result=results, default=results)
    stepfunctions._apply_state_assign(state, data, context, result=results)
    return output, stepfunctions._next_or_end(state)


def _unless_stopped(execute: Callable) -> Callable:
    def execute_unless_stopped(*args: Any, **keywords: Any) -> Any:
        parent = _parent.get()
        if parent and parent["status"] != "RUNNING":
            raise _Stopped
        return execute(*args, **keywords)

    return execute_unless_stopped
