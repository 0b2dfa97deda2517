"""The application: three instances and their five volumes, with files on all of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast_demo import filesystems
from holdfast_demo.disks import copy_volume, write_changes
from holdfast_demo.errors import DemoError, wait_for
from holdfast_demo.filesystems import BLOCK
from holdfast_demo.stack import Place, Stack

_IMAGE = "ami-0123456789abcdef0"
_BOOT_DEVICE = "/dev/xvda"
_DATA_DEVICE = "/dev/sdf"
_BOOT_GIB, _DATA_GIB = 1, 2
_BOOT_MIB, _DATA_MIB = 64, 128  # the file systems; the rest of a volume is empty
_MIB = 1024 * 1024
_COPY_SECONDS = 3
# So many that they fill blocks which were empty.
_ORDERS, _LATER_ORDERS = 1_000, 60_000


@dataclass(frozen=True)
class Machine:
    """One instance to make."""

    name: str
    has_data: bool = False
    encrypted_data: bool = False
    stopped: bool = False


MACHINES = (
    Machine("web", has_data=True),
    Machine("db", has_data=True, encrypted_data=True),
    Machine("worker", stopped=True),
)


@dataclass
class Volume:
    """A volume of the application, and the one file that is looked for again at the end."""

    volume_id: str
    machine: str
    device: str
    is_data: bool
    key_arn: str  # empty where it is not encrypted
    file: str
    text: str
    before: dict[int, str] = field(default_factory=dict)
    later_text: str = ""  # what the file holds since the recovery point

    @property
    def encrypted(self) -> bool:
        """Whether it is."""
        return bool(self.key_arn)

    @property
    def title(self) -> str:
        """What the demo calls it."""
        return f"{self.machine} {self.device}"

    @property
    def size_gib(self) -> int:
        """How large it was made."""
        return _DATA_GIB if self.is_data else _BOOT_GIB


@dataclass
class Scene:
    """Everything that was made."""

    stack: Stack
    app: str
    names: dict[str, str] = field(default_factory=dict)  # instance id to name
    volumes: list[Volume] = field(default_factory=list)
    key_arn: str = ""
    # What restores have made, or taken off: instances and volumes, and where they are.
    made: list[tuple[Place, str]] = field(default_factory=list)

    def volume(self, volume_id: str) -> Volume | None:
        """Find a volume."""
        return next((volume for volume in self.volumes if volume.volume_id == volume_id), None)

    def remember_blocks(self) -> None:
        """Note what each volume holds now."""
        for volume in self.volumes:
            volume.before = self.stack.simulator.blocks(volume.volume_id)

    def go_on_writing(self, folder: Path) -> None:
        """Write more orders to the data volumes, through their file systems."""
        for volume in self.volumes:
            if volume.is_data:
                image = folder / f"{volume.volume_id}.img"
                before = copy_volume(self.stack.simulator, volume.volume_id, volume.size_gib, image)
                volume.later_text = _orders(self.app, volume.machine, _LATER_ORDERS)
                filesystems.write_file(image, volume.file, volume.later_text)
                if wrong := filesystems.check(image):
                    raise DemoError(f"Writing to {volume.title} has damaged it: {wrong}")
                write_changes(self.stack.simulator, volume.volume_id, before, image)
                image.unlink()

    def remove(self) -> None:
        """Terminate the instances, and delete the volumes that stay. Snapshots need neither."""
        everything = [(self.stack.home, i) for i in (*self.names, *(v.volume_id for v in self.volumes))]
        everything += self.made
        for place in {place for place, _ in everything}:
            ids = {found for where, found in everything if where == place}
            _remove(self.stack.client("ec2", place), {i for i in ids if i.startswith("i-")}, ids)


def _remove(ec2: Any, instances: set[str], ids: set[str]) -> None:
    """Terminate instances, and delete those of the volumes that do not go with them."""
    if instances:
        ec2.terminate_instances(InstanceIds=list(instances))
        ec2.get_waiter("instance_terminated").wait(
            InstanceIds=list(instances), WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
    for volume in ec2.describe_volumes()["Volumes"]:
        if volume["VolumeId"] in ids:
            ec2.delete_volume(VolumeId=volume["VolumeId"])


def _orders(app: str, machine: str, count: int) -> str:
    return "".join(
        f"{app},{machine},order {number},{number * 7 % 100} EUR\n" for number in range(1, count + 1)
    )


def make_scene(stack: Stack, app: str, folder: Path, scene: Scene) -> None:
    """Make the application tagged `app`, noting in `scene` what exists so far."""
    stack.simulator.configure(snapshot_base_seconds=4, snapshot_seconds_per_gib=6)
    for place in {stack.home, *(vault.place for vault in stack.vaults)}:
        stack.simulator_of(place).configure(copy_base_seconds=_COPY_SECONDS)
    key = stack.client("kms").create_key(Description=f"Encrypts the orders of {app}")["KeyMetadata"]
    scene.key_arn = key["Arn"]
    ec2 = stack.client("ec2")
    for machine in MACHINES:
        _make_machine(stack, ec2, machine, app, scene)
    for volume in scene.volumes:
        _fill(stack, volume, app, folder)
    stopped = [i for i, name in scene.names.items() if any(m.stopped and m.name == name for m in MACHINES)]
    ec2.stop_instances(InstanceIds=stopped)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=stopped, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _make_machine(stack: Stack, ec2: Any, machine: Machine, app: str, scene: Scene) -> None:
    tags = [{"Key": "app", "Value": app}, {"Key": "Name", "Value": machine.name}]
    boot_tags = [{"Key": "Name", "Value": f"{machine.name} boot"}]
    made = ec2.run_instances(
        ImageId=_IMAGE,
        InstanceType="t3.small",
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[
            {"DeviceName": _BOOT_DEVICE, "Ebs": {"VolumeSize": _BOOT_GIB, "VolumeType": "gp3"}}
        ],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": tags},
            {"ResourceType": "volume", "Tags": boot_tags},
        ],
    )["Instances"][0]
    instance_id = made["InstanceId"]
    scene.names[instance_id] = machine.name
    ec2.get_waiter("instance_running").wait(
        InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )

    def boot_volume() -> str | None:
        instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        mapped = {m["DeviceName"]: m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"]}
        return mapped.get(instance["RootDeviceName"])

    boot = wait_for(f"the boot volume of {machine.name}", boot_volume, 30, stack.logs)
    text = f"{machine.name} of {app}, instance {instance_id}\n"
    scene.volumes.append(Volume(boot, machine.name, _BOOT_DEVICE, False, "", "/etc/motd", text))
    if machine.has_data:
        zone = made["Placement"]["AvailabilityZone"]
        _add_data_volume(ec2, machine, app, zone, instance_id, scene)


def _add_data_volume(ec2: Any, machine: Machine, app: str, zone: str, instance_id: str, scene: Scene) -> None:
    encryption = {"Encrypted": True, "KmsKeyId": scene.key_arn} if machine.encrypted_data else {}
    made = ec2.create_volume(
        AvailabilityZone=zone,
        Size=_DATA_GIB,
        VolumeType="gp3",
        TagSpecifications=[
            {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": f"{machine.name} data"}]}
        ],
        **encryption,
    )
    volume_id = made["VolumeId"]
    waiting = {"Delay": 1, "MaxAttempts": 60}
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig=waiting)
    text = _orders(app, machine.name, _ORDERS)
    scene.volumes.append(
        Volume(
            volume_id, machine.name, _DATA_DEVICE, True, made.get("KmsKeyId", ""), "/shop/orders.csv", text
        )
    )
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=_DATA_DEVICE)
    ec2.get_waiter("volume_in_use").wait(VolumeIds=[volume_id], WaiterConfig=waiting)


def _fill(stack: Stack, volume: Volume, app: str, folder: Path) -> None:
    """Put a file system with files on a volume."""
    files = folder / f"{volume.volume_id}.files"
    chosen = files / volume.file.lstrip("/")
    chosen.parent.mkdir(parents=True)
    chosen.write_text(volume.text)
    bulk = random.Random(volume.volume_id)
    for number in range(12 if volume.is_data else 4):
        (chosen.parent / f"picture-{number:02}.bin").write_bytes(bulk.randbytes(bulk.randrange(1, _MIB)))
    (files / "README").write_text(f"A volume of {app}.\n")
    image = folder / f"{volume.volume_id}.img"
    filesystems.make_image(image, files, _DATA_MIB if volume.is_data else _BOOT_MIB)
    for index, block in filesystems.data_blocks(image):
        stack.simulator.write(volume.volume_id, index * BLOCK, block)
    image.unlink()
