"""A year of nights, and which of them a plan's rules keep, reckoned here and not by Holdfast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

ZONE_NAME = "Europe/Rome"
ZONE = ZoneInfo(ZONE_NAME)
# In summer this hour is still the day before in UTC: on the first of a month even the month before.
HOUR = 1
COUNT = 365
RULES = {"daily": 7, "weekly": 4, "monthly": 12}
_BUCKETS: dict[str, Callable[[datetime], object]] = {
    "daily": datetime.date,
    "weekly": lambda night: night.isocalendar()[:2],
    "monthly": lambda night: (night.year, night.month),
}
# What ended just now is kept for its youth alone.
_YOUTH = timedelta(hours=2)


@dataclass(frozen=True)
class Night:
    """One night, and the ids of what was taken in it."""

    local: datetime
    point_id: str
    job_id: str

    @property
    def moment(self) -> str:
        """Give the moment as the catalog writes it."""
        return utc(self.local)


def utc(moment: datetime) -> str:
    """Write a moment as the catalog does."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def last_nights(now: datetime) -> list[datetime]:
    """Give the last 365 nights, newest first."""
    last = now.astimezone(ZONE).date()
    if now - datetime.combine(last, time(HOUR), ZONE).astimezone(timezone.utc) < _YOUTH:
        last -= timedelta(days=1)
    return [datetime.combine(last - timedelta(days=ago), time(HOUR), ZONE) for ago in range(COUNT)]


def kept_by(nights: list[datetime]) -> dict[str, set[str]]:
    """Give the moments that each rule keeps: the newest night of each of its newest buckets."""
    kept = {}
    for rule, count in RULES.items():
        newest: dict[object, datetime] = {}
        for night in sorted(nights, reverse=True):
            newest.setdefault(_BUCKETS[rule](night), night)
        kept[rule] = {utc(night) for night in list(newest.values())[:count]}
    return kept
