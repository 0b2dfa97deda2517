"""Restores, as an operator starts, watches and stops them: in the main stack or in a vault."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

import boto3
from boto3.dynamodb.conditions import Key

from deployed import end_of, invoke, start
from places import Place, until

# How long a restore looks for what EC2 may not show yet, before it believes that nothing is left.
_VISIBILITY = timedelta(minutes=2)
_ENDED = {"COMPLETED", "PARTIAL", "FAILED", "ABORTED"}


@dataclass(frozen=True)
class Restorer:
    """A stack's restores."""

    place: Place
    outputs: dict[str, str]

    @cached_property
    def table(self) -> Any:
        """Give boto3's view of the table that holds the records of restores, as root."""
        name = self.outputs["RestoreInstanceFunctionName"]
        configuration = self.place.client("lambda").get_function_configuration(FunctionName=name)
        session = boto3.Session(self.place.account, "test", region_name=self.place.region)
        resource = session.resource("dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        return resource.Table(configuration["Environment"]["Variables"]["HOLDFAST_TABLE"])

    def start(self, **document: Any) -> str:
        """Start an execution."""
        return start(self.place, self.outputs["RestoreStateMachineArn"], document)

    def run(self, **document: Any) -> dict[str, Any]:
        """Restore to a good end, and give what the execution put out."""
        status, said = self.end(self.start(**document))
        assert status == "SUCCEEDED", said
        return json.loads(said)

    def fail(self, **document: Any) -> tuple[str | None, str]:
        """Restore to a bad end; give the job, if one was opened, and the cause."""
        execution = self.start(**document)
        status, said = self.end(execution)
        assert status == "FAILED", said
        return self._find_job(execution), said

    def end(self, execution: str) -> tuple[str, str]:
        """Wait for an execution's end; give its status, and its output or its cause."""
        client = self.place.client("stepfunctions")

        def ended() -> bool:
            if job := self._find_job(execution):
                self._make_visible(job)
            return client.describe_execution(executionArn=execution)["status"] != "RUNNING"

        until(f"the end of {execution}", ended)
        return end_of(self.place, execution)

    def end_of_job(self, job: str) -> dict[str, Any]:
        """Wait for a job's end, whichever execution brings it about, and describe it."""

        def ended() -> dict[str, Any] | None:
            self._make_visible(job)
            told = self.ask(action="describe", job_id=job)
            return told if told["status"] in _ENDED else None

        return until(f"the end of {job}", ended)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the function, as an operator does."""
        return invoke(self.place, self.outputs["RestoreInstanceFunctionName"], request)

    def job_of(self, execution: str) -> str:
        """Wait for the job that an execution opens."""
        client = self.place.client("stepfunctions")

        def found() -> str | None:
            described = client.describe_execution(executionArn=execution)
            job = self._find_job(execution)
            assert job or described["status"] == "RUNNING", described.get("cause")
            return job

        return until(f"the job of {execution}", found)

    def records(self, job: str) -> list[dict[str, Any]]:
        """Read the records of a job's restores."""
        key = Key("pk").eq(f"JOB#{job}") & Key("sk").begins_with("RESTORE#")
        return self.table.query(KeyConditionExpression=key, ConsistentRead=True)["Items"]

    def wait_for(self, job: str, what: str, reached: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the one resource of a job has come so far."""

        def found() -> bool:
            (record,) = self.records(job)
            assert record["status"] in {"PENDING", "RUNNING"}, record.get("failure")
            return reached(record)

        until(what, found)

    def _find_job(self, execution: str) -> str | None:
        found = self.table.get_item(Key={"pk": f"EXECUTION#{execution}", "sk": "EXECUTION"}).get("Item")
        return found["job_id"] if found else None

    def _make_visible(self, job: str) -> None:
        """Let the two minutes be over in which EC2 may not show what was just made.

        A restore that removes what it made waits for them by the machine's clock, which no test can turn. So the moment
        since when it waits is written back in its record, as no operator ever would. The simulator shows everything at
        once here.
        """
        for record in self.records(job):
            since = datetime.strptime(f"{record['since'][:19]}+0000", "%Y-%m-%dT%H:%M:%S%z")
            if _removes(record) and datetime.now(timezone.utc) - since < _VISIBILITY:
                self._set_since(record, since - _VISIBILITY)

    def _set_since(self, record: dict[str, Any], since: datetime) -> None:
        try:
            self.table.update_item(
                Key={"pk": record["pk"], "sk": record["sk"]},
                UpdateExpression="SET since = :since",
                ConditionExpression="revision = :read",
                ExpressionAttributeValues={":since": f"{since:%Y-%m-%dT%H:%M:%SZ}", ":read": record["revision"]},
            )
        except self.table.meta.client.exceptions.ConditionalCheckFailedException:
            return  # It has gone on meanwhile, and is looked at again.


def whole(told: dict[str, Any]) -> dict[str, Any]:
    """Give what is told of the one resource of a job that restored everything as it was to be."""
    (restore,) = told["restores"]
    assert (told["status"], restore.get("differences", [])) == ("COMPLETED", []), json.dumps(told, indent=1)
    return restore


def _removes(record: dict[str, Any]) -> bool:
    steps = {"RUNNING": "steps", "RETURNING": "back"}.get(record["status"])
    return steps is not None and record["blueprint"][steps][int(record["next"]) :][:1] == ["remove_made"]
