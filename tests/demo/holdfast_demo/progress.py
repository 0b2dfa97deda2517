"""How far a job is, in words and as a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """A job's record and those of its copy jobs, as they were read together."""

    job: dict[str, Any]
    replicas: int  # how many the plan asks for
    copy_jobs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Where the job stands."""
        return self.job.get("status", "not there")

    def percent(self) -> int:
        """Count snapshots and copies alike, so that the bar moves on while copies are made."""
        if self.status == "COMPLETED":
            return 100
        told = self.job.get("progress", {})
        snapshots = int(told.get("started", 0))
        if not snapshots:
            return 0
        copied = sum(int(job["completed"]) for job in self.copy_jobs)
        whole = snapshots * (1 + self.replicas)
        return int((snapshots * int(told["percent"]) + 100 * copied) / whole)

    def in_words(self) -> str:
        """Say what is happening."""
        told = self.job.get("progress", {})
        started, completed, failed = (int(told.get(name, 0)) for name in ("started", "completed", "failed"))
        if self.status == "COMPLETED" and self.copy_jobs:
            return f"{self.status}: {completed} snapshots complete; copied {self._copies()}"
        if self.status == "RUNNING" and self.copy_jobs:
            ended = all("ended_at" in job for job in self.copy_jobs)
            then = "; now retention" if ended and len(self.copy_jobs) == self.replicas else ""
            return f"{self.status}: copied {self._copies()}{then}"
        words = f"{self.status}: {started} snapshots started, {completed} complete"
        words += f", {failed} failed" if failed else ""
        return words + (f"; copied {self._copies()}" if self.copy_jobs else "")

    def _copies(self) -> str:
        words = []
        for job in self.copy_jobs:
            failed = f" ({job['failed']} failed)" if job["failed"] else ""
            words.append(f"{job['completed']} of {job['total']} to {job['destination']['region']}{failed}")
        return ", ".join(words)
