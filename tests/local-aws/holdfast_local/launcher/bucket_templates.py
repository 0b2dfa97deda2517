"""CloudFormation gives a bucket the encryption, the ownership and the lifecycle that its template says.

MiniStack's CloudFormation knows some of a bucket's properties and leaves these out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from ministack.services import s3
from ministack.services.cloudformation import provisioners

# A lifecycle rule's properties, and where S3 has them in its own form.
_IN_RULE = {
    "Id": ("ID",),
    "Prefix": ("Filter", "Prefix"),
    "Status": ("Status",),
    "ExpirationInDays": ("Expiration", "Days"),
    "ExpiredObjectDeleteMarker": ("Expiration", "ExpiredObjectDeleteMarker"),
}
_GROUPS = ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")


def install() -> None:
    """Add the three to what is applied to a bucket."""
    provisioners._S3_BUCKET_CONFIGURATIONS += (
        ("BucketEncryption", _encryption, _accepted(s3._put_bucket_encryption), s3._delete_bucket_encryption),
        (
            "OwnershipControls",
            _ownership,
            _accepted(s3._put_bucket_ownership_controls),
            s3._delete_bucket_ownership_controls,
        ),
        ("LifecycleConfiguration", _lifecycle, _accepted(s3._put_bucket_lifecycle), s3._delete_bucket_lifecycle),
    )


def _accepted(put: Callable[[str, bytes], tuple]) -> Callable[[str, bytes], None]:
    """Fail the stack when S3 refuses."""

    def put_or_fail(bucket: str, body: bytes) -> None:
        status, _, answer = put(bucket, body)
        if status >= 400:
            raise ValueError(f"{bucket}: {answer!r}")

    return put_or_fail


def _encryption(config: dict[str, Any]) -> bytes:
    root = Element("ServerSideEncryptionConfiguration", xmlns=s3.S3_NS)
    for rule in config.get("ServerSideEncryptionConfiguration", []):
        made = SubElement(root, "Rule")
        _add(made, "ApplyServerSideEncryptionByDefault", rule.get("ServerSideEncryptionByDefault") or {})
        _add(made, "BucketKeyEnabled", rule.get("BucketKeyEnabled", False))
    return tostring(root)


def _ownership(config: dict[str, Any]) -> bytes:
    root = Element("OwnershipControls", xmlns=s3.S3_NS)
    for rule in config.get("Rules", []):
        _add(root, "Rule", rule)
    return tostring(root)


def _lifecycle(config: dict[str, Any]) -> bytes:
    root = Element("LifecycleConfiguration", xmlns=s3.S3_NS)
    for rule in config.get("Rules", []):
        if unknown := rule.keys() - _IN_RULE.keys() - set(_GROUPS):
            raise ValueError(f"LifecycleConfiguration: {', '.join(sorted(unknown))} is not known on this machine")
        made: dict[str, Any] = {"Filter": {}}
        for name, (group, *rest) in _IN_RULE.items():
            if name in rule:
                made[group] = {**made.get(group, {}), rest[0]: rule[name]} if rest else rule[name]
        _add(root, "Rule", {**made, **{name: rule[name] for name in _GROUPS if name in rule}})
    return tostring(root)


def _add(parent: Element, name: str, value: Any) -> None:
    """Add an element; a mapping becomes elements in it."""
    made = SubElement(parent, name)
    if isinstance(value, dict):
        for inner, part in value.items():
            _add(made, inner, part)
    else:
        made.text = str(value).lower() if isinstance(value, bool) else str(value)
