"""Deploys the templates and their functions into the local stack, with the same `sam deploy` as into AWS."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast_local.settings import REGION, REPOSITORY, STACK_NAME, Settings
from holdfast_local.stack import MISLEADING, Stack, StackError

DEFAULT_ACCOUNT = "000000000000"
_CODE = re.compile(r"\.\./target/lambda/([a-z0-9-]+)")
_STATE_MACHINES = re.compile(r"\.\./statemachines/([a-z0-9.-]+)")
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Template:
    """A template, and the name of the stack that it becomes.

    Its functions and state machines are those whose files it names: `../target/lambda/<function>` for a function's
    code, `../statemachines/<file>` for a definition.
    """

    name: str
    file: Path
    stack_name: str
    named_roles: bool = False

    def text(self) -> str:
        """Read the template."""
        if not self.file.exists():
            raise StackError(f"There is no template {self.file}.")
        return self.file.read_text()

    def functions(self) -> tuple[str, ...]:
        """Give the names of the functions whose code the template names."""
        return tuple(dict.fromkeys(_CODE.findall(self.text())))

    def state_machines(self) -> list[Path]:
        """Give the definitions that the template names."""
        return [REPOSITORY / "statemachines" / name for name in sorted(set(_STATE_MACHINES.findall(self.text())))]

    def parameters(self) -> set[str]:
        """Give the names of the template's parameters."""
        # SAM's own reader, which knows CloudFormation's short forms.
        from samcli.yamlhelper import yaml_parse

        return set(yaml_parse(self.text()).get("Parameters") or {})


_INFRA = REPOSITORY / "infra"
MAIN = Template("main", _INFRA / "template.yaml", STACK_NAME)
VAULT = Template("vault", _INFRA / "vault-account.yaml", f"{STACK_NAME}-vault", named_roles=True)
TEMPLATES = {template.name: template for template in (MAIN, VAULT)}


@dataclass(frozen=True)
class Deployment:
    """One template in one account and region."""

    template: Template = MAIN
    account: str | None = None
    region: str = REGION

    @property
    def suffix(self) -> str:
        """Tell the files of this deployment from those of others; `make local`'s own has none."""
        if self.template.name == MAIN.name and self.region == REGION:
            return f"-{self.account}" if self.account else ""
        return f"-{self.template.name}-{self.account or DEFAULT_ACCOUNT}-{self.region}"

    @property
    def bucket(self) -> str:
        """Where the packages wait: buckets' names are unique over all accounts, and Lambda reads its own region's."""
        region = "" if self.region == REGION else f"-{self.region}"
        return f"holdfast-artifacts-{self.account or DEFAULT_ACCOUNT}{region}"


def deploy(
    settings: Settings,
    stack: Stack,
    say: Callable[[str], None],
    account: str | None = None,
    region: str = REGION,
    template: Template = MAIN,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy and give the template's outputs, which `outputs<suffix>.json` in the state folder holds as well.

    Nothing is done when nothing changed since the last time. `account` deploys into another account than the default.
    """
    deployment, given = Deployment(template, account, region), dict(parameters or {})
    if unknown := given.keys() - template.parameters():
        raise StackError(f"{template.file} has no parameter {', '.join(sorted(unknown))}.")
    outputs_file = settings.state / f"outputs{deployment.suffix}.json"
    deployed_file = settings.state / f"deployed{deployment.suffix}.json"
    fingerprint = {**_fingerprint(settings, stack, template), "parameters": given}
    if outputs_file.exists() and deployed_file.exists() and json.loads(deployed_file.read_text()) == fingerprint:
        say("Deployed already, and nothing has changed since.")
        return json.loads(outputs_file.read_text())
    environment = _environment(stack, deployment)
    _run_sam(settings, environment, deployment, given, say)
    outputs = _outputs(environment, template)
    outputs_file.write_text(json.dumps(outputs, indent=2) + "\n")
    deployed_file.write_text(json.dumps(fingerprint))
    return outputs


def _fingerprint(settings: Settings, stack: Stack, template: Template) -> dict[str, object]:
    """Tell one state of what is deployed from another; a new stack has nothing deployed."""
    binaries = [settings.functions / name / "bootstrap" for name in template.functions()]
    missing = [str(path) for path in binaries if not path.exists()]
    if missing:
        raise StackError(f"Not built: {', '.join(missing)}. Build the functions with `make functions`.")
    sources = [template.file, *template.state_machines()]
    if absent := [str(path) for path in sources if not path.exists()]:
        raise StackError(f"{template.file} names what is not there: {', '.join(absent)}.")
    files = {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in [*binaries, *sources]}
    return {"stack": stack.stack_id, "files": files}


def _environment(stack: Stack, deployment: Deployment) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment = {**own, **stack.environment(), "SAM_CLI_TELEMETRY": "0", "PYTHONWARNINGS": "ignore"}
    environment |= {"AWS_REGION": deployment.region, "AWS_DEFAULT_REGION": deployment.region}
    if deployment.account:
        environment["AWS_ACCESS_KEY_ID"] = deployment.account
    return environment


def _client(environment: Mapping[str, str], service: str) -> Any:
    import boto3

    session = boto3.Session(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    return session.client(service, environment["AWS_REGION"], endpoint_url=environment["AWS_ENDPOINT_URL"])


def _run_sam(
    settings: Settings,
    environment: dict[str, str],
    deployment: Deployment,
    parameters: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    if architecture is None:
        raise StackError(f"Lambda has no processor like this machine's {platform.machine()}.")
    _ensure_bucket(environment, deployment)
    # SAM leaves out what the template has no parameter for.
    values = {"Architecture": architecture, "DeletionProtection": "false", **parameters}
    template = deployment.template
    command = [
        str(Path(sys.executable).parent / "sam"),
        "deploy",
        *("--config-file", str(_INFRA / "samconfig.toml")),
        *("--config-env", "local"),
        *("--stack-name", template.stack_name),
        *("--template-file", str(_packaged(settings, deployment))),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in values.items())),
        *("--s3-bucket", deployment.bucket),
        *(("--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM") if template.named_roles else ()),
    ]
    say(f"Deploying {template.stack_name} for {architecture} …")
    log = settings.logs / f"deploy{deployment.suffix}.log"
    with log.open("wb") as output:
        ended = subprocess.run(command, env=environment, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
    if ended.returncode:
        last = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-25:])
        raise StackError(f"`sam deploy` failed. The end of {log}:\n{last}")


def _ensure_bucket(environment: Mapping[str, str], deployment: Deployment) -> None:
    s3 = _client(environment, "s3")
    place = {"CreateBucketConfiguration": {"LocationConstraint": deployment.region}}
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=deployment.bucket, **({} if deployment.region == "us-east-1" else place))


def _packaged(settings: Settings, deployment: Deployment) -> Path:
    """Give a copy of the template whose functions are packages that were made here.

    SAM would compress each binary at every deployment, which takes longer than all the rest. A package's bytes depend
    on its binary alone, so that SAM does not upload it twice.
    """
    packages = settings.state / "packages"
    packages.mkdir(exist_ok=True)
    text = _STATE_MACHINES.sub(lambda found: str(REPOSITORY / "statemachines" / found[1]), deployment.template.text())
    for name in deployment.template.functions():
        binary, package = settings.functions / name / "bootstrap", packages / f"{name}.zip"
        if not package.exists() or package.stat().st_mtime_ns <= binary.stat().st_mtime_ns:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            with zipfile.ZipFile(package, "w") as archive:
                archive.writestr(entry, binary.read_bytes())
    copy = settings.state / f"template{deployment.suffix}.yaml"
    copy.write_text(_CODE.sub(lambda found: str(packages / f"{found[1]}.zip"), text))
    return copy


def _outputs(environment: Mapping[str, str], template: Template) -> dict[str, str]:
    client = _client(environment, "cloudformation")
    found = client.describe_stacks(StackName=template.stack_name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
