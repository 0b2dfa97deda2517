"""The default key for EBS (`aws/ebs`) of the caller's account and region can be described.

ec2-sim invents its ARN, which follows from account and region (`tests/ec2-sim/src/kms.rs`), and shows it on volumes and
snapshots. MiniStack's KMS has no such key, and would call everything under it lost.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from ministack.core.responses import get_account_id, get_region, json_response
from ministack.services import kms

_ALIAS = "alias/aws/ebs"
_DESCRIPTION = "Default key that protects my EBS volumes when no other key is defined"
_64_BITS = (1 << 64) - 1
_GOLDEN = 0x9E37_79B9_7F4A_7C15


def install() -> None:
    """Answer `DescribeKey` for the default key; all other keys stay as they were."""
    describe = kms._describe_key

    def describe_key(data: dict[str, Any]) -> tuple:
        account, region = get_account_id(), get_region()
        key_id = _default_key_id(account, region)
        here = f"arn:aws:kms:{region}:{account}:"
        names = (key_id, f"{here}key/{key_id}", _ALIAS, f"{here}{_ALIAS}")
        if data.get("KeyId") not in names:
            return describe(data)
        return json_response({"KeyMetadata": _metadata(account, f"{here}key/{key_id}", key_id)})

    kms._describe_key = describe_key


def _metadata(account: str, arn: str, key_id: str) -> dict[str, Any]:
    return {
        "AWSAccountId": account,
        "Arn": arn,
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "Description": _DESCRIPTION,
        "Enabled": True,
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "KeyId": key_id,
        "KeyManager": "AWS",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "MultiRegion": False,
        "Origin": "AWS_KMS",
    }


def _default_key_id(account: str, region: str) -> str:
    """Give the id that the simulator makes (`kms::default_key`, `random::uuid`)."""
    high, low = (f"{_fingerprint(text):016x}" for text in (f"{region}/{account}/{_ALIAS}", _ALIAS))
    return f"{high[:8]}-{high[8:12]}-4{high[13:]}-a{low[1:4]}-{low[4:]}"


def _fingerprint(text: str) -> int:
    """Give the simulator's number for a text (`random::fingerprint`)."""
    return reduce(lambda number, byte: (_mix(number ^ byte) + _GOLDEN) & _64_BITS, text.encode(), 0xCBF2_9CE4_8422_2325)


def _mix(number: int) -> int:
    number = ((number ^ (number >> 30)) * 0xBF58_476D_1CE4_E5B9) & _64_BITS
    number = ((number ^ (number >> 27)) * 0x94D0_49BB_1331_11EB) & _64_BITS
    return number ^ (number >> 31)
