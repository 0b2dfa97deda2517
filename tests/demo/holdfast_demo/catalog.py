"""Reading Holdfast's catalog, as anybody with access to the table can."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.conditions import Key

from holdfast_demo.stack import Place, Stack

ENDED = ("COMPLETED", "PARTIAL", "FAILED", "ABORTED", "EXPIRED")


class Catalog:
    """The table's records of one plan."""

    def __init__(self, stack: Stack, plan_id: str) -> None:
        """Remember whose records are read."""
        self.table = stack.table()
        self._plan_id = plan_id

    def recovery_point(self) -> dict[str, Any] | None:
        """Give the plan's newest recovery point."""
        found = self._query(Key("pk").eq(f"PLAN#{self._plan_id}"), ScanIndexForward=False, Limit=1)
        return found[0] if found else None

    def job(self, job_id: str) -> dict[str, Any]:
        """Give a job."""
        key = {"pk": f"JOB#{job_id}", "sk": "JOB"}
        return self.table.get_item(Key=key, ConsistentRead=True).get("Item", {})

    def backups(self, recovery_point_id: str) -> list[dict[str, Any]]:
        """Give a recovery point's backups."""
        return self._below(recovery_point_id, "BACKUP#")

    def batches(self, recovery_point_id: str) -> list[dict[str, Any]]:
        """Give the batches that a recovery point was taken in."""
        return self._below(recovery_point_id, "BATCH#")

    def copy_jobs(self, recovery_point_id: str) -> list[dict[str, Any]]:
        """Give a recovery point's copy jobs, one for each destination, in the plan's order."""
        return sorted(self._below(recovery_point_id, "REPLICA#"), key=lambda job: job["number"])

    def copies(self, recovery_point_id: str, place: Place) -> list[dict[str, Any]]:
        """Give what became of a recovery point's snapshots in a destination."""
        return self._below(f"{recovery_point_id}#{place.account}#{place.region}", "COPY#")

    def _below(self, pk: str, kind: str) -> list[dict[str, Any]]:
        return self._query(Key("pk").eq(pk) & Key("sk").begins_with(kind))

    def _query(self, condition: Any, **more: Any) -> list[dict[str, Any]]:
        return self.table.query(KeyConditionExpression=condition, ConsistentRead=True, **more)["Items"]
