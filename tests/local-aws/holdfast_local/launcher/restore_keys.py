"""KMS keys where EC2 makes, attaches and starts volumes: the caller must be allowed to use them.

- A volume to come (`CreateVolume`, `RunInstances`, `CreateReplaceRootVolumeTask`) asks for its own key and for that of
  the snapshot it is made of; without a key in the call it inherits the snapshot's.
- A volume that is attached, and each volume of an instance that is started, asks for a grant on its key.

AWS accepts some of these calls and lets the volume vanish or the instance stop later. Here the call itself is refused:
`UnauthorizedOperation` where a permission is missing, `InvalidParameterValue` where nobody could use the key. As with
copies, nothing is asked about the default key, and every question is asked, so that all of them are written down.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ministack import app
from ministack.core.iam_actions import access_denied_response, identity_denial_message
from ministack.core.responses import get_account_id
from ministack.core.router import extract_access_key_id
from ministack.services import kms

from holdfast_local.launcher.keys import PROBLEM, ask, find_key, is_usable
from holdfast_local.launcher.world import World, texts

_OF_NEW = ("kms:DescribeKey", "kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext")
_OF_SNAPSHOT = ("kms:CreateGrant", "kms:Decrypt")
_OF_ATTACHED = ("kms:CreateGrant",)
_DEVICE = re.compile(r"(BlockDeviceMapping\.\d+)\.DeviceName")
_INSTANCE = re.compile(r"InstanceId\.\d+")

_Key = dict[str, Any]
_Params = Mapping[str, str]


@dataclass
class _Need:
    """What a call needs of keys."""

    world: World
    account: str
    region: str
    questions: dict[tuple[str, str], _Key] = field(default_factory=dict)
    is_hopeless: bool = False

    def key(self, named: str) -> _Key | None:
        """Give the key; none when it is the account's default key, or is nowhere, which makes the call hopeless."""
        if not named or named.endswith("alias/aws/ebs"):
            return None
        key = find_key(named, self.account, self.region)
        if not is_usable(key) or key["Arn"].split(":")[3] != self.region:
            self.is_hopeless = True
        return key

    def add(self, actions: Iterable[str], key: _Key | None) -> None:
        if key:
            self.questions.update({(action, key["Arn"]): key for action in actions})

    def add_volume(self, snapshot_id: str, named: str) -> None:
        """Add a volume to come, made of a snapshot and under a key that the call names, if any."""
        found = self.world.snapshot(self.account, self.region, snapshot_id) if snapshot_id else None
        inherited = self.without_default((found or {}).get("kms_key_id") or "")
        source, own = self.key(inherited), self.key(named or inherited)
        self.add(_OF_NEW, own)
        self.add(_OF_SNAPSHOT, source)
        if source and own is not source:
            self.add(["kms:ReEncryptFrom"], source)
            self.add(["kms:ReEncryptTo"], own)

    def without_default(self, arn: str) -> str:
        """Leave out a key of the account that KMS never had, which is the default key."""
        is_default = f":{self.account}:" in arn and not find_key(arn, self.account, self.region)
        return "" if is_default else arn

    def describe(self, action: str, **parameters: str) -> Any:
        """Describe something, if anything of the account can be under a key at all."""
        places = {scope[:2] for scope in list(kms._keys.to_dict())}
        known = (self.account, self.region) in places
        return self.world.described(self.account, self.region, action, **parameters) if known else None


def install(simulator: str) -> None:
    """Put the questions in front of EC2."""
    app.SERVICE_HANDLERS["ec2"] = _with_questions(app.SERVICE_HANDLERS["ec2"], World(simulator))


def _with_questions(forward: Callable, world: World) -> Callable:
    async def ask_and_forward(method: str, path: str, headers: dict, body: bytes, query: dict) -> tuple:
        params = {name: values[0] for name, values in app._routing_params(method, path, headers, body, query).items()}
        look = _LOOKS.get(params.get("Action", ""))
        if look is None or params.get("DryRun") == "true":
            return await forward(method, path, headers, body, query)
        need = _Need(world, get_account_id(), app.extract_region(headers, query))
        await asyncio.to_thread(look, need, params)
        caller = extract_access_key_id(headers, query)
        answers = [(action, arn, ask(caller, action, key, "ec2")) for (action, arn), key in need.questions.items()]
        for action, arn, denied in answers:
            if denied:
                return _refusal(action, arn, denied, headers)
        return _no_use() if need.is_hopeless else await forward(method, path, headers, body, query)

    return ask_and_forward


def _of_volume(need: _Need, params: _Params) -> None:
    need.add_volume(params.get("SnapshotId", ""), params.get("KmsKeyId", ""))


def _of_instances(need: _Need, params: _Params) -> None:
    # What the call says of a device takes the place of what its image says.
    devices = {name: (snapshot, "") for name, snapshot in _of_image(need, params).items()}
    for name, device in params.items():
        if found := _DEVICE.fullmatch(name):
            of_image, _ = devices.get(device, ("", ""))
            named = {part: params.get(f"{found[1]}.Ebs.{part}", "") for part in ("SnapshotId", "KmsKeyId")}
            devices[device] = (named["SnapshotId"] or of_image, named["KmsKeyId"])
            if f"{found[1]}.NoDevice" in params:
                del devices[device]
    for snapshot_id, named_key in devices.values():
        need.add_volume(snapshot_id, named_key)


def _of_image(need: _Need, params: _Params) -> dict[str, str]:
    """Give the devices of the image that a call names, each with its snapshot."""
    image_id = params.get("ImageId")
    described = need.describe("DescribeImages", **{"ImageId.1": image_id}) if image_id else None
    mapped = [] if described is None else described.iterfind(".//{*}blockDeviceMapping/{*}item")
    return {
        item.findtext("{*}deviceName", ""): snapshot
        for item in mapped
        if (snapshot := item.findtext("{*}ebs/{*}snapshotId"))
    }


def _of_root(need: _Need, params: _Params) -> None:
    # Of an image, AWS takes the root device; one more device asks for no more than the instance's launch did.
    for snapshot_id in [params.get("SnapshotId", ""), *_of_image(need, params).values()]:
        need.add_volume(snapshot_id, "")


def _of_attached(need: _Need, params: _Params) -> None:
    if volume_id := params.get("VolumeId"):
        _add_attached(need, {"VolumeId.1": volume_id})


def _of_started(need: _Need, params: _Params) -> None:
    ids = [value for name, value in params.items() if _INSTANCE.fullmatch(name)]
    of_them = {f"Filter.1.Value.{n}": i for n, i in enumerate(ids, start=1)}
    _add_attached(need, {"Filter.1.Name": "attachment.instance-id", **of_them})


def _add_attached(need: _Need, which: dict[str, str]) -> None:
    for arn in texts(need.describe("DescribeVolumes", **which), "volumeSet/item/kmsKeyId"):
        need.add(_OF_ATTACHED, need.key(need.without_default(arn)))


_LOOKS: dict[str, Callable[[_Need, _Params], None]] = {
    "AttachVolume": _of_attached,
    "CreateReplaceRootVolumeTask": _of_root,
    "CreateVolume": _of_volume,
    "RunInstances": _of_instances,
    "StartInstances": _of_started,
}


def _refusal(action: str, key_arn: str, denied: Any, headers: dict) -> tuple:
    principal, explicit = getattr(denied, "principal_arn", ""), getattr(denied, "decision", "") == "Deny"
    why = identity_denial_message(action, principal, key_arn, explicit)
    return access_denied_response("ec2", action, principal, str(uuid.uuid4()), message=why, headers=headers)


def _no_use() -> tuple:
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>InvalidParameterValue</Code>'
        f"<Message>{PROBLEM}</Message></Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
    )
    return 400, {"Content-Type": "text/xml;charset=UTF-8"}, document.encode()
