"""One instance damaged, recovered in place, the recovery undone, recovered destructively, and cloned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from holdfast_demo import given_back, restores
from holdfast_demo.damage import overwrite
from holdfast_demo.errors import DemoError
from holdfast_demo.given_back import describe, mapped
from holdfast_demo.proof import differing
from holdfast_demo.report import moment
from holdfast_demo.restores import Outcome, tell
from holdfast_demo.scene import Scene
from holdfast_demo.stack import Stack

# What a start with other volumes changes of what EC2 says. Public addresses are lent, from start to start.
_OF_A_START = {
    "BlockDeviceMappings",
    "LaunchTime",
    "PublicDnsName",
    "PublicIpAddress",
    "StateReason",
    "StateTransitionReason",
}
# What a new instance has besides.
_OF_A_NEW_ONE = _OF_A_START | {"ClientToken", "ImageId", "InstanceId", "UsageOperationUpdateTime"}
# What a clone has besides.
_OF_A_CLONE = _OF_A_NEW_ONE | {"NetworkInterfaces", "PrivateDnsName", "PrivateIpAddress"}
# What a start changes of interfaces, and of their addresses.
_OF_AN_INTERFACE = {"Association", "Attachment"}
_ORDER = ("RunInstances", "DescribeInstanceStatus", "TerminateInstances")


class Recovery:
    """The story of one instance with a data volume."""

    def __init__(
        self,
        scene: Scene,
        resource: str,
        snapshots: dict[str, str],
        folder: Path,
        console: Console,
        say: Callable[[str], None],
    ) -> None:
        """Remember what it is about; `snapshots` are the recovery point's, by volume."""
        self.scene, self.resource, self.snapshots, self.folder = scene, resource, snapshots, folder
        self.console, self.say = console, say
        self.stack: Stack = scene.stack
        self.name = scene.names[resource]
        self.volumes = [volume for volume in scene.volumes if volume.machine == self.name]
        (self.data,) = (volume for volume in self.volumes if volume.is_data)
        self.request = {"plan_id": scene.app, "resources": [resource]}
        self.by = restores.at_home(self.stack)

    def damage(self) -> None:
        """Overwrite parts of the file system, and note what the volumes hold now."""
        state = describe(self.stack, self.resource)["State"]["Name"]
        if state != "running":
            raise DemoError(f"{self.resource} is {state}; it was to be damaged while it runs.")
        orders = self.data.later_text.count("\n")
        self.say(
            f"{self.resource} runs. Since the recovery point it has written to {self.data.title}: its file"
        )
        self.say(f"system is clean, and {self.data.file} holds {orders:,} orders.")
        done = overwrite(self.stack, self.data, self.folder)
        for what in done.places:
            self.say(f"Noise is written over {what}.")
        self.say(f"e2fsck -fn of {self.data.title}: ✗ damaged, {len(done.complaints):,} complaints, such as")
        for line in done.complaints[:2]:
            self.say(f"  {line}")
        self.damaged = {v.volume_id: self.stack.simulator.blocks(v.volume_id) for v in self.volumes}

    def in_place(self) -> None:
        """Let the volumes go back to the recovery point, and the instance stay what it is."""
        before = describe(self.stack, self.resource)
        self.restored = restores.run(self.by, {**self.request, "mode": "in_place", "proof": {}})
        tell(self.say, self.restored)
        after = describe(self.stack, self.resource)
        self.prove(self.resource, f"On {self.resource} again")
        self.require_same_instance(before, after)
        self.until = self.restored.only["undo_until"]
        kept = self.on_hand(set(mapped(before).values()))
        self.scene.made += [(self.stack.home, volume) for volume in self.restored.only["volumes"].values()]
        self.say(f"{', '.join(kept)} are kept, for an undo until {self.until[:16]}Z.")

    def undo(self) -> None:
        """Put back what was taken off, damage and all."""
        before = describe(self.stack, self.resource)
        undone = restores.run(self.by, {"undo": self.restored.job_id})
        tell(self.say, undone)
        after = describe(self.stack, self.resource)
        self.require_same_instance(before, after)
        there = mapped(after)
        for volume in self.volumes:
            now = there.get(volume.device)
            if now != volume.volume_id:
                raise DemoError(f"{volume.title} is {now} after the undo, not {volume.volume_id}.")
            if wrong := differing(self.damaged[now], self.stack.simulator.blocks(now)):
                raise DemoError(f"{now} is not as it was before the restore: blocks {wrong[:8]} differ.")
            blocks = len(self.damaged[now])
            self.say(f"{volume.title} is {now} again, ✓ equal in all {blocks} blocks to what it held before.")
        kept = self.on_hand(set(self.restored.only["volumes"].values()))
        self.say(f"{', '.join(kept)}, which the restore had put there, are kept as long.")

    def look_ahead(self) -> None:
        """Say what a destructive recovery would do."""
        before = describe(self.stack, self.resource)
        (planned,) = restores.look_ahead(self.by, {**self.request, "mode": "destructive"})
        if planned.get("obstacles"):
            raise DemoError(f"Something is in the way of a destructive recovery: {planned['obstacles']}")
        self.told = planned["differences"]
        self.say("A dry run, which changes nothing, says in words what would be done:")
        for number, step in enumerate(planned["steps"], 1):
            self.say(f"{number:>4}. {step}")
        if describe(self.stack, self.resource) != before:
            raise DemoError(f"The dry run has changed {self.resource}.")

    def destructive(self) -> None:
        """Let a new instance take the old one's place."""
        before = describe(self.stack, self.resource)
        done = restores.run(self.by, {**self.request, "mode": "destructive"})
        tell(self.say, done)
        self.now = done.only["instance_id"]
        self.note_made(self.now)
        self.prove(self.now, f"On {self.now}, in the place of {self.resource}")
        self.tell_order(done)
        after, old = describe(self.stack, self.now), describe(self.stack, self.resource)
        if old["State"]["Name"] != "terminated" or after["State"]["Name"] != before["State"]["Name"]:
            raise DemoError(f"{self.resource} is {old['State']}, {self.now} is {after['State']}.")
        require_like(before, after, _OF_A_NEW_ONE)
        if done.only["announced"] != self.told:
            raise DemoError(f"The dry run told of {self.told}, and it came to {done.only['announced']}.")
        if addresses(before) != addresses(after):
            raise DemoError(f"The addresses were {addresses(before)} and are {addresses(after)}.")
        self.say(
            f"The address is the same, {after['PrivateIpAddress']}, and so is the interface that has it."
        )
        self.say("What the dry run told to differ from what was captured, and why; nothing else does:")
        restores.tell_announced(self.say, done.only)
        self.say(f"Its public address is {after.get('PublicIpAddress', 'none')} now.")

    def tell_order(self, done: Outcome) -> None:
        """Show in EC2's own log what came before what."""
        steps = _steps(self.stack.simulator.calls(done.since), self.stack.home.region)
        launch, proof, end = _ORDER
        asked = [(step.action, step.instance_id) for step in steps]
        candidate = asked[1][1] if len(asked) > 1 else ""
        if asked != [
            (launch, ""),
            (proof, candidate),
            (end, self.resource),
            (launch, ""),
            (proof, self.now),
            (end, candidate),
        ]:
            raise DemoError(f"{self.resource} was not let go in good order: {asked}")
        launched = [describe(self.stack, instance)["LaunchTime"] for instance in (candidate, self.now)]
        if sorted(launched) != launched or self.now == candidate:
            raise DemoError(f"{candidate} and {self.now} were launched in the wrong order.")
        whose = {self.resource: "the old one", candidate: "the candidate", self.now: "the one that stays"}
        results = iter((candidate, self.now))
        self.say("EC2's log of the calls that count, by its clock:")
        for step in steps:
            instance = step.instance_id or next(results)
            self.say(f"  {step.at:%H:%M:%S}  {step.action:<23} {instance}, {whose[instance]}")

    def clone(self) -> None:
        """Make another one beside it."""
        done = restores.run(self.by, {**self.request, "mode": "clone", "proof": {}})
        tell(self.say, done)
        clone = done.only["instance_id"]
        self.note_made(clone)
        restores.tell_faithful(self.say)
        self.prove(clone, f"On the clone {clone}")
        beside = [describe(self.stack, instance) for instance in (self.now, clone)]
        if [one["State"]["Name"] for one in beside] != ["running", "running"]:
            raise DemoError(f"Both were to run: {[one['State'] for one in beside]}")
        require_like(beside[0], beside[1], _OF_A_CLONE)
        own = [{address for _, address in addresses(one)} for one in beside]
        if own[0] & own[1] or not all(own):
            raise DemoError(f"{self.now} and {clone} share an address: {own}")
        for one in beside:
            self.say(f"{one['InstanceId']} runs with {one['PrivateIpAddress']}.")

    def prove(self, instance_id: str, title: str) -> None:
        """Look at every volume of an instance of this recovery point."""
        found = given_back.look(self.stack, instance_id, self.volumes, self.snapshots, self.folder)
        given_back.print_found(self.console, title, found)
        given_back.require_good(found)

    def require_same_instance(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """See that nothing of an instance is other than it was, but for its volumes and its start."""
        require_like(before, after, _OF_A_START)
        (interface,) = after["NetworkInterfaces"]
        self.say(
            f"It is the same instance: {self.resource}, {interface['NetworkInterfaceId']}, "
            f"{after['PrivateIpAddress']}."
        )
        self.say("Nothing that EC2 says of it has changed but its volumes and its start.")

    def on_hand(self, volumes: set[str]) -> list[str]:
        """See that these volumes are there and free, and kept until the undo's end."""
        found = self.stack.client("ec2").describe_volumes(VolumeIds=list(volumes))["Volumes"]
        for volume in found:
            tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
            if volume["State"] != "available" or tags.get("holdfast:undo-until") != self.until:
                raise DemoError(f"{volume['VolumeId']} is {volume['State']}, with the tags {tags}.")
        return sorted(volumes)

    def note_made(self, instance_id: str) -> None:
        """Note what is to be removed in the end."""
        made = [instance_id, *mapped(describe(self.stack, instance_id)).values()]
        self.scene.made += [(self.stack.home, one) for one in made]


def require_like(before: dict[str, Any], after: dict[str, Any], but: set[str]) -> None:
    """See that EC2 says the same of two instances, but for some things."""
    pairs = {key: (_plain(before, key), _plain(after, key)) for key in {*before, *after} - but}
    if changed := {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}:
        raise DemoError(f"{after['InstanceId']} is not as {before['InstanceId']} was: {changed}")


def _plain(instance: dict[str, Any], key: str) -> Any:
    """Give what EC2 says, without the marks of a restore and of a start."""
    said = instance.get(key)
    if key == "Tags":
        return {tag["Key"]: tag["Value"] for tag in said or [] if not tag["Key"].startswith("holdfast:")}
    if key == "NetworkInterfaces":
        return [_lasting(interface) for interface in said or []]
    return said


def _lasting(interface: dict[str, Any]) -> dict[str, Any]:
    lasting = {name: value for name, value in interface.items() if name not in _OF_AN_INTERFACE}
    private = [
        {name: value for name, value in address.items() if name not in _OF_AN_INTERFACE}
        for address in interface["PrivateIpAddresses"]
    ]
    return lasting | {"PrivateIpAddresses": private}


def addresses(instance: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the private addresses of an instance, each with its interface."""
    return sorted(
        (interface["NetworkInterfaceId"], private["PrivateIpAddress"])
        for interface in instance["NetworkInterfaces"]
        for private in interface["PrivateIpAddresses"]
    )


@dataclass(frozen=True)
class _Step:
    action: str
    instance_id: str  # empty for a launch, which names none
    at: datetime


def _steps(calls: list[dict[str, Any]], region: str) -> list[_Step]:
    """Give the calls that count. Of one that was repeated until it was content, the last one counts."""
    steps: list[_Step] = []
    for call in calls:
        if call["action"] in _ORDER and call["outcome"] == "ok" and call["region"] == region:
            named = " ".join(i for i in call["ids"] if i.startswith("i-"))
            step = _Step(call["action"], named, moment(call["time"]))
            if steps and (steps[-1].action, steps[-1].instance_id) == (step.action, step.instance_id):
                steps.pop()
            steps.append(step)
    return steps
