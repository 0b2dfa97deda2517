"""S3 uses a customer's key for the caller: who writes or reads an object under it must be allowed to use the key.

MiniStack notes under which key an object is, and asks nobody.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core.iam_actions import access_denied_response, identity_denial_message
from ministack.core.iam_evaluator import AuthError
from ministack.core.responses import get_region, request_scope
from ministack.core.router import extract_access_key_id
from ministack.services import s3

from holdfast_local.launcher.keys import ask, find_key

_KEY_ID = "x-amz-server-side-encryption-aws-kms-key-id"
_PLAIN_QUERY = frozenset({"x-id", "versionId"})


def install() -> None:
    """Ask before an object is written, and before its bytes leave."""
    app.SERVICE_HANDLERS["s3"] = _with_key_checks(app.SERVICE_HANDLERS["s3"])


def _with_key_checks(handle: Callable) -> Callable:
    async def ask_and_handle(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        bucket, _, key = path.lstrip("/").partition("/")
        owner = s3._bucket_owner_account(bucket)
        caller = extract_access_key_id(headers, query)
        is_object = bool(owner and key and query.keys() <= _PLAIN_QUERY)
        if is_object and method == "PUT":
            named = _key_for_write(headers, bucket, owner)
            if denied := _denial(caller, "kms:GenerateDataKey", named, bucket, owner, headers):
                return denied
        answer = await handle(method, path, headers, body, query)
        if is_object and method == "GET" and answer[0] in (200, 206):
            return _denial(caller, "kms:Decrypt", answer[1].get(_KEY_ID), bucket, owner, headers) or answer
        return answer

    return ask_and_handle


def _key_for_write(headers: Mapping[str, str], bucket: str, owner: str) -> str | None:
    """Give the key that the call names, or else the bucket's."""
    if named := headers.get(_KEY_ID):
        return named
    with request_scope(owner, get_region()):
        default = s3._bucket_default_sse_headers(bucket)
    asked = headers.get("x-amz-server-side-encryption")
    return default.get(_KEY_ID) if asked in (None, "aws:kms") else None


def _denial(caller: str, action: str, named: str | None, bucket: str, owner: str, headers: dict) -> Any:
    """Give S3's refusal when the caller may not use the key; None when it may, or when it is S3's own key."""
    region = s3._buckets.get_scoped(owner, None, bucket).get("region") or "us-east-1"
    key = find_key(named, owner, region) if named else None
    denied = ask(caller, action, key, "s3") if key else None
    if not denied or isinstance(denied, AuthError):
        return None
    why = identity_denial_message(action, denied.principal_arn, key["Arn"], denied.decision == "Deny")
    return access_denied_response("s3", action, denied.principal_arn, str(uuid.uuid4()), message=why, headers=headers)
