"""The sealed tags of a snapshot, as Holdfast puts them on: only so does it take a snapshot for its own."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any


def seal_key(kms: Any, key_arn: str, point_id: str) -> bytes:
    """Let KMS derive the sealing key of a recovery point."""
    message = f"holdfast/seal/v1/{point_id}".encode()
    return kms.generate_mac(KeyId=key_arn, MacAlgorithm="HMAC_SHA_256", Message=message)["Mac"]


def sealed(tags: dict[str, str], key: bytes) -> dict[str, str]:
    """Give identity tags with the seal over them."""
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for pair in sorted(tags.items()):
        for text in pair:
            data = text.encode()
            mac.update(len(data).to_bytes(8, "big") + data)
    return {**tags, "holdfast:seal": mac.hexdigest()}
