"""S3: the condition keys of conditional writes, and the owner that a caller expects a bucket to have.

A bucket policy can insist on writes that never replace an object (`s3:if-none-match`), and a caller can insist on
whose bucket it talks to (`x-amz-expected-bucket-owner`). MiniStack honours the conditional write itself, but tells no
policy about it, and does not look at the expected owner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions
from ministack.services import s3

_EXPECTED_OWNER = "x-amz-expected-bucket-owner"
# Condition keys that carry the value of a header.
_HEADERS = {
    "if-match": "s3:if-match",
    "if-none-match": "s3:if-none-match",
    "x-amz-server-side-encryption-aws-kms-key-id": "s3:x-amz-server-side-encryption-aws-kms-key-id",
}
# Requests that are `s3:PutObject` to IAM and yet make no object.
_PARTS = ("uploads", "partNumber")


def install() -> None:
    """Add the condition keys, and look at the expected owner first."""
    context_of = iam_actions.s3_service_context

    def context(action: str, query: dict | None, path: str = "", headers: dict | None = None) -> dict[str, Any]:
        found = context_of(action, query, path, headers)
        return {**found, **write_context(query or {}, headers or {})} if action == "s3:PutObject" else found

    iam_actions.s3_service_context = context
    app.SERVICE_HANDLERS["s3"] = _with_expected_owner(app.SERVICE_HANDLERS["s3"])


def write_context(query: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """Give the condition keys of one write."""
    makes_object = not any(name in query for name in _PARTS)
    carried = {key: headers[name] for name, key in _HEADERS.items() if headers.get(name)}
    return {**carried, "s3:ObjectCreationOperation": str(makes_object).lower()}


def _with_expected_owner(handle: Callable) -> Callable:
    async def check_and_handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        expected = headers.get(_EXPECTED_OWNER)
        bucket = path.lstrip("/").partition("/")[0]
        if expected and s3._bucket_owner_account(bucket) not in (None, expected):
            return s3._error("AccessDenied", "Access Denied", 403, path)
        return await handle(method, path, headers, body, query)

    return check_and_handle
