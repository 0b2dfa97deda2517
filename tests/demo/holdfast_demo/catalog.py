"""Reading Holdfast's catalog, as anybody with access to the table can."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.conditions import Key

from holdfast_demo.stack import Stack

ENDED = ("COMPLETED", "PARTIAL", "FAILED", "ABORTED", "EXPIRED")


class Catalog:
    """The table's records of one plan."""

    def __init__(self, stack: Stack, plan_id: str) -> None:
        """Remember whose records are read."""
        self._table = stack.table()
        self._plan_id = plan_id

    def recovery_point(self) -> dict[str, Any] | None:
        """Give the plan's newest recovery point."""
        found = self._query(Key("pk").eq(f"PLAN#{self._plan_id}"), ScanIndexForward=False, Limit=1)
        return found[0] if found else None

    def job(self, job_id: str) -> dict[str, Any]:
        """Give a job."""
        key = {"pk": f"JOB#{job_id}", "sk": "JOB"}
        return self._table.get_item(Key=key, ConsistentRead=True).get("Item", {})

    def backups(self, recovery_point_id: str) -> list[dict[str, Any]]:
        """Give a recovery point's backups."""
        condition = Key("pk").eq(recovery_point_id) & Key("sk").begins_with("BACKUP#")
        return self._query(condition)

    def _query(self, condition: Any, **more: Any) -> list[dict[str, Any]]:
        return self._table.query(KeyConditionExpression=condition, ConsistentRead=True, **more)["Items"]
