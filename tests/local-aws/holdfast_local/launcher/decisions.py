"""Every IAM decision, counted: which role asked for which action, and whether it was allowed.

A test compares this with the actions that each role grants, so that nothing is granted that is not used. Root callers
are left out, since no policy is asked about them. What AWS does on a role's behalf (Step Functions invoking a function,
Lambda writing its log) is decided by `service_roles` and is written down here like any other.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, NamedTuple

from ministack.core import iam_evaluator
from ministack.core.iam_evaluator import AuthError, EvalResult
from ministack.core.responses import get_account_id


class _Decision(NamedTuple):
    account: str
    principal: str
    action: str
    allowed: bool


class DecisionLog:
    """Decisions and how often each was made."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._counts: Counter[_Decision] = Counter()

    def add(self, principal_arn: str, action: str, allowed: bool) -> None:
        """Write down one decision about a role or user; those about root are no decisions."""
        account, name = _identity(principal_arn)
        if name is not None:
            with self._lock:
                self._counts[_Decision(account, name, action, allowed)] += 1

    def entries(self, account: str | None = None) -> list[dict[str, Any]]:
        """Give the decisions of one account, or of all, in a steady order."""
        with self._lock:
            counts = sorted(self._counts.items())
        return [{**d._asdict(), "count": n} for d, n in counts if account in (None, d.account)]

    def clear(self, account: str | None = None) -> None:
        """Forget the decisions of one account, or all."""
        with self._lock:
            for decision in [d for d in self._counts if account in (None, d.account)]:
                del self._counts[decision]


LOG = DecisionLog()


def _identity(principal_arn: str) -> tuple[str, str | None]:
    """Give the account and the name of the role or user behind an ARN; no name for root."""
    fields = principal_arn.split(":", 5)
    if len(fields) < 6:
        return "", None
    kind, _, rest = fields[5].partition("/")
    # assumed-role/NAME/SESSION, but role/some/path/NAME and user/some/path/NAME.
    name = rest.split("/")[0] if kind == "assumed-role" else rest.rpartition("/")[2]
    return fields[4], name or None


def install() -> None:
    """Write down what MiniStack's one entry to IAM decides; it is looked up there at every call."""
    enforce = iam_evaluator.enforce

    def enforce_and_note(access_key_id: str, iam_action: str, *args: Any, **keywords: Any) -> Any:
        verdict = enforce(access_key_id, iam_action, *args, **keywords)
        if isinstance(verdict, EvalResult):
            LOG.add(verdict.principal_arn, iam_action, False)
        elif not isinstance(verdict, AuthError):
            credential = iam_evaluator.resolve_credential(access_key_id or "", get_account_id())
            LOG.add(getattr(credential, "principal_arn", ""), iam_action, True)
        return verdict

    iam_evaluator.enforce = enforce_and_note
