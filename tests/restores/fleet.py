"""The instances that the tests restore, all of them backed up once: each test has one of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from applications import make_key
from deployed import Deployed, unique
from machines import (
    USER_DATA,
    Machine,
    disk,
    give_address,
    interfaces_of,
    make_profile,
    start_machine,
    two_interfaces,
    windows_server,
    write_later,
)
from places import Place
from restoring import Restorer, whole

ROLE = "restored-shop-web"
HOST = "h-0f1ee7f1ee7f1ee70"
RESERVATION = "cr-0f1ee7f1ee7f1ee70"


@dataclass
class Fleet:
    """Instances by name, and the plan that backs them up."""

    deployed: Deployed
    restorer: Restorer
    plan_id: str
    machines: dict[str, Machine] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)  # allocations by the machine's name

    @property
    def place(self) -> Place:
        """Where it runs."""
        return self.deployed.source

    def restore(self, mode: str, name: str, **more: Any) -> dict[str, Any]:
        """Restore one of them to a good end, exactly as asked for, and give what is told of it."""
        told = self.restorer.run(**self.request(mode, name, **more))
        return whole(told)

    def request(self, mode: str, name: str, **more: Any) -> dict[str, Any]:
        """Ask for one of them."""
        return {"plan_id": self.plan_id, "mode": mode, "resources": [self.machines[name].instance], **more}


def plan_of(name: str, **more: Any) -> dict[str, Any]:
    """Give the plan of everything that carries a tag."""
    return {
        "plan_id": name,
        "selection": {"tags": [{"key": "fleet", "values": [name]}]},
        "retention": [{"keep": "newest", "count": 3}],
        **more,
    }


def make_fleet(deployed: Deployed) -> Fleet:
    """Start all of them, back them up, and go on writing on their volumes."""
    place, name = deployed.source, unique("fleet")
    fleet = Fleet(deployed, Restorer(place, deployed.outputs), name)
    fleet.keys = {which: make_key(place, deployed.far.place.account) for which in ("old", "new")}
    # Nobody starts so many instances at once.
    place.simulator("POST", "settings", {"throttling": False})
    for machine in _start_all(fleet, {"fleet": name}):
        fleet.machines[machine.name] = machine
    place.simulator("POST", "settings", {"throttling": True})
    deployed.manage_plan(action="put", plan=plan_of(name))
    output = deployed.back_up(name)
    assert output["status"] == "COMPLETED", output
    for machine in fleet.machines.values():
        write_later(place, machine)
    return fleet


def _start_all(fleet: Fleet, tags: dict[str, str]) -> list[Machine]:
    place = fleet.place
    ec2 = place.client("ec2")

    def start(name: str, *disks: dict[str, Any], root: str = "/dev/xvda", **more: Any) -> Machine:
        devices = [root, "/dev/sdf", "/dev/sdg"]
        return start_machine(place, name, tags, dict(zip(devices, disks)), **more)  # noqa: B905

    profile = make_profile(place, ROLE)
    key_name = f"{fleet.plan_id}-key"
    ec2.create_key_pair(KeyName=key_name)
    web = start(
        "web",
        disk(Encrypted=True, KmsKeyId=fleet.keys["old"]),
        disk(DeleteOnTermination=False, Iops=4000),
        UserData=USER_DATA,
        KeyName=key_name,
        IamInstanceProfile={"Arn": profile},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
    )
    (card,) = interfaces_of(place, web.instance)
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=card["NetworkInterfaceId"], SourceDestCheck={"Value": False}
    )
    two = two_interfaces(place)
    pair = start("pair", disk(), NetworkInterfaces=two)
    shop = start("shop", disk(), disk(DeleteOnTermination=False), DisableApiTermination=True, DisableApiStop=True)
    for machine in (pair, shop):
        fleet.addresses[machine.name] = give_address(place, machine)
    resting = start(
        "resting",
        disk(),
        Placement={"GroupName": f"{fleet.plan_id}-group"},
        CapacityReservationSpecification={"CapacityReservationTarget": {"CapacityReservationId": RESERVATION}},
    )
    ec2.stop_instances(InstanceIds=[resting.instance])
    images = {
        name: place.simulator("POST", "images", windows_server(f"{fleet.plan_id}-{name}"))["image_id"]
        for name in ("server", "orphan")
    }
    servers = [start(name, disk(), disk(), root="/dev/sda1", ImageId=image) for name, image in images.items()]
    others = [
        start("db", disk(), disk()),
        start("steady", disk(), disk(), DisableApiStop=True),
        start("proved", disk()),
        start("bound", disk(), Placement={"Tenancy": "host", "HostId": HOST}),
        start("doubtful", disk(), disk(), NetworkInterfaces=two),
    ]
    ec2.deregister_image(ImageId=images["orphan"])
    return [web, pair, shop, resting, *servers, *others]
