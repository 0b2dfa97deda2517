"""Condition keys about the caller: the role behind a session, and the transport.

- `aws:PrincipalArn` of a role's session is the role's ARN. MiniStack gives the session's own, which changes with every
  session: a policy that names a role by this key would never match.
- `aws:SecureTransport` is true. Calls here never leave the machine, and a policy that insists on TLS would keep
  everybody out.
"""

from __future__ import annotations

from typing import Any

from ministack.core import iam_evaluator
from ministack.services import iam


def install() -> None:
    """Answer these condition keys; the others stay as they were."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_key(key: str, context: iam_evaluator.EvalContext) -> Any:
        match key.lower():
            case "aws:principalarn":
                return role_of(context.principal_arn)
            case "aws:securetransport":
                return "true"
        return resolve(key, context)

    iam_evaluator._resolve_condition_key = resolve_key


def role_of(principal_arn: str) -> str:
    """Give the ARN of the role behind a session, with its path; any other principal is itself."""
    fields = principal_arn.split(":", 5)
    if len(fields) < 6 or not fields[5].startswith("assumed-role/"):
        return principal_arn
    name = fields[5].split("/")[1]
    role = iam._roles.get_scoped(fields[4], None, name)
    return (role or {}).get("Arn") or f"arn:{fields[1]}:iam::{fields[4]}:role/{name}"
