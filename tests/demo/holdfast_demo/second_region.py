"""The whole application rebuilt in the second region, while the first one cannot be reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError
from rich.console import Console

from holdfast_demo import given_back, restores
from holdfast_demo.errors import DemoError
from holdfast_demo.gate import Gate
from holdfast_demo.given_back import describe, mapped
from holdfast_demo.restores import Restorer, tell
from holdfast_demo.scene import Scene
from holdfast_demo.stack import Stack, Vault

# Every service that the function has a client of.
_SERVICES = ("DYNAMODB", "EC2", "ELASTIC_LOAD_BALANCING_V2", "EVENTBRIDGE", "KMS", "LAMBDA", "S3", "SSM")

# What the name of the function's role holds.
_FUNCTION = "RestoreInstanceFunction"


class SecondRegion:
    """What a vault of the own account gives back by itself."""

    def __init__(
        self,
        scene: Scene,
        vault: Vault,
        point_id: str,
        folder: Path,
        console: Console,
        say: Callable[[str], None],
    ) -> None:
        """Remember what it is about."""
        self.scene, self.vault, self.point_id, self.folder = scene, vault, point_id, folder
        self.console, self.say = console, say
        self.stack: Stack = scene.stack
        self.here = vault.place

    def rebuild(self) -> None:
        """Cut the first region off, rebuild, and see that nothing of it was asked for."""
        away = self.stack.home.region
        with Gate(self.stack.endpoint, away) as gate, self.behind(gate):
            self.require_cut_off(gate)
            self.say(f"The vault in {self.here.region} has a state machine and a function of its own.")
            self.say(f"A gate is before that function now: what is signed for {away} gets no answer.")
            since = self.stack.simulator_of(self.here).last_call()
            done = self.restore()
            tell(self.say, done)
            restores.tell_faithful(self.say)
            self.require_alone(gate, since)
            services = _listed({service for _, service in gate.passed})
            self.look(done.restores)
            self.say(
                f"The function's {gate.passed.total()} calls to {services} were all for {self.here.region};"
            )
            self.say(f"it did not even try one for {away}.")
        self.say(f"{away} can be reached again.")

    def require_alone(self, gate: Gate, since: int) -> None:
        """See that nothing was asked of the first region, by the gate's count and by EC2's."""
        if gate.refused or {region for region, _ in gate.passed} != {self.here.region}:
            raise DemoError(f"What was asked: {dict(gate.passed)}; and in vain: {dict(gate.refused)}.")
        calls = self.stack.simulator_of(self.here).calls(since)
        role = [call for call in calls if _FUNCTION in call["principal"]]
        others = [call for call in calls if call["region"] != self.here.region]
        if others or len(role) != gate.passed[self.here.region, "ec2"]:
            raise DemoError(
                f"EC2 counts {len(role)} calls of {_FUNCTION}, the gate {dict(gate.passed)}; "
                f"elsewhere there were {others[:3]}."
            )

    def restore(self) -> restores.Outcome:
        """Start the vault's own state machine."""
        by = Restorer(self.stack, self.vault.restore_machine, self.here)
        request: dict[str, Any] = {"plan_id": self.scene.app, "mode": "clone"}
        missing = restores.look_ahead(by, request)
        obstacles = {o["field"]: o["problem"] for planned in missing for o in planned.get("obstacles", [])}
        self.say("A dry run says what the vault cannot know, as subnets and groups belong to their region:")
        for field, problem in obstacles.items():
            self.say(f"  {field}: {problem}")
        overrides = self.subnet()
        self.say(f"So it is given {overrides['subnet_id']} and {overrides['security_group_ids'][0]}.")
        if obstacles.keys() != {f"overrides.{field}" for field in overrides}:
            raise DemoError(f"Something else is in the way: {obstacles}")
        return restores.run(by, {**request, "overrides": overrides})

    def subnet(self) -> dict[str, Any]:
        """Find where the new instances go."""
        ec2 = self.stack.client("ec2", self.here)
        subnet = min(ec2.describe_subnets()["Subnets"], key=lambda found: found["AvailabilityZone"])
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
        return {
            "subnet_id": subnet["SubnetId"],
            "security_group_ids": [groups["SecurityGroups"][0]["GroupId"]],
        }

    def look(self, given: list[dict[str, Any]]) -> None:
        """Look at every volume of every new instance."""
        made = {restore["resource_id"]: restore["instance_id"] for restore in given}
        if made.keys() != self.scene.names.keys():
            raise DemoError(f"Given back were {sorted(made)}, not {sorted(self.scene.names)}.")
        copies = self.copies()
        all_found = []
        for resource, name in self.scene.names.items():
            instance = describe(self.stack, made[resource], self.here)
            volumes = [volume for volume in self.scene.volumes if volume.machine == name]
            self.scene.made += [(self.here, one) for one in (made[resource], *mapped(instance).values())]
            all_found += given_back.look(self.stack, made[resource], volumes, copies, self.folder, self.vault)
            state = instance["State"]["Name"]
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            if (tags.get("Name"), tags.get("app")) != (name, self.scene.app):
                raise DemoError(f"{made[resource]} is to be {name} of {self.scene.app}, and is {tags}.")
            self.say(
                f"{name:<7} {resource} is {made[resource]} here: {state}, {instance['PrivateIpAddress']}."
            )
        given_back.print_found(self.console, f"In {self.here}", all_found)
        given_back.require_good(all_found)

    def copies(self) -> dict[str, str]:
        """Read from the vault's own catalog which copy is whose."""
        s3 = self.stack.client("s3", self.here)
        copies = {}
        for resource in self.scene.names:
            key = f"catalog/{self.scene.app}/{self.point_id}/backups/{resource}.json"
            backup = json.loads(s3.get_object(Bucket=self.vault.bucket, Key=key)["Body"].read())
            copies |= {copy["volume_id"]: copy["snapshot_id"] for copy in backup["copies"]}
        return copies

    @contextmanager
    def behind(self, gate: Gate) -> Iterator[None]:
        """Let the vault's function reach AWS through a gate only."""
        functions = self.stack.client("lambda", self.here)
        name = self.vault.restore_function
        own = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        ways = {f"AWS_ENDPOINT_URL_{service}": gate.url for service in _SERVICES}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**own, **ways}})
        try:
            yield
        finally:
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": own})

    def require_cut_off(self, gate: Gate) -> None:
        """See that the gate is closed for the first region, and open for the second."""
        config = Config(retries={"total_max_attempts": 1})
        for place in (self.here, self.stack.home):
            ec2 = self.stack.client("ec2", place, gate.url, config)
            try:
                ec2.describe_instances()
            except BotoCoreError as error:
                if place == self.here:
                    raise DemoError(f"The gate is closed for {place} too: {error}") from error
            else:
                if place == self.stack.home:
                    raise DemoError(f"The gate lets calls through to {place}.")
        if gate.refused.total() != 1 or gate.passed.total() != 1:
            raise DemoError(f"The gate has miscounted: {dict(gate.passed)}, {dict(gate.refused)}")
        gate.passed.clear()
        gate.refused.clear()


def _listed(words: set[str]) -> str:
    *most, last = sorted(words)
    return f"{', '.join(most)} and {last}" if most else last
