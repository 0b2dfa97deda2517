"""Deploys the template and the functions into the local stack, with the same `sam deploy` as into AWS."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from holdfast_local.settings import REPOSITORY, STACK_NAME, Settings
from holdfast_local.stack import MISLEADING, Stack, StackError

FUNCTIONS = ("open-job", "snapshot-volumes", "poll-completion", "close-job", "manage-plan")
DEFAULT_ACCOUNT = "000000000000"
_TEMPLATE = REPOSITORY / "infra" / "template.yaml"
_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def deploy(settings: Settings, stack: Stack, say: Callable[[str], None], account: str | None = None) -> dict[str, str]:
    """Deploy and give the template's outputs, which `outputs.json` in the state folder holds as well.

    Nothing is done when nothing changed since the last time. `account` deploys into another account than the default.
    """
    suffix = f"-{account}" if account else ""
    outputs_file = settings.state / f"outputs{suffix}.json"
    deployed_file = settings.state / f"deployed{suffix}.json"
    fingerprint = _fingerprint(settings, stack)
    if outputs_file.exists() and deployed_file.exists() and json.loads(deployed_file.read_text()) == fingerprint:
        say("Deployed already, and nothing has changed since.")
        return json.loads(outputs_file.read_text())
    environment = _environment(stack, account)
    log = settings.logs / f"deploy{suffix}.log"
    _run_sam(settings, environment, log, account or DEFAULT_ACCOUNT, say)
    outputs = _outputs(environment)
    outputs_file.write_text(json.dumps(outputs, indent=2) + "\n")
    deployed_file.write_text(json.dumps(fingerprint))
    return outputs


def _fingerprint(settings: Settings, stack: Stack) -> dict[str, object]:
    """Tell one state of what is deployed from another; a new stack has nothing deployed."""
    binaries = [settings.functions / name / "bootstrap" for name in FUNCTIONS]
    missing = [str(path) for path in binaries if not path.exists()]
    if missing:
        raise StackError(f"Not built: {', '.join(missing)}. Build the functions with `make functions`.")
    sources = [_TEMPLATE, *sorted((REPOSITORY / "statemachines").glob("*.asl.json"))]
    files = {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in [*binaries, *sources]}
    return {"stack": stack.stack_id, "files": files}


def _environment(stack: Stack, account: str | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment = {**own, **stack.environment(), "SAM_CLI_TELEMETRY": "0", "PYTHONWARNINGS": "ignore"}
    if account:
        environment["AWS_ACCESS_KEY_ID"] = account
    return environment


def _run_sam(
    settings: Settings, environment: dict[str, str], log: Path, account: str, say: Callable[[str], None]
) -> None:
    import boto3

    session = boto3.Session(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    s3 = session.client("s3", environment["AWS_REGION"], endpoint_url=environment["AWS_ENDPOINT_URL"])
    bucket = f"holdfast-artifacts-{account}"  # no two accounts can have one of the same name
    s3.create_bucket(Bucket=bucket)
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    if architecture is None:
        raise StackError(f"Lambda has no processor like this machine's {platform.machine()}.")
    command = [
        str(Path(sys.executable).parent / "sam"),
        "deploy",
        *("--config-file", str(REPOSITORY / "infra" / "samconfig.toml")),
        *("--config-env", "local"),
        *("--template-file", str(_packaged(settings))),
        *("--parameter-overrides", f"Architecture={architecture}", "DeletionProtection=false"),
        *("--s3-bucket", bucket),
    ]
    say(f"Deploying {STACK_NAME} for {architecture} …")
    with log.open("wb") as output:
        ended = subprocess.run(command, env=environment, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
    if ended.returncode:
        last = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-25:])
        raise StackError(f"`sam deploy` failed. The end of {log}:\n{last}")


def _packaged(settings: Settings) -> Path:
    """Give a copy of the template whose functions are packages that were made here.

    SAM would compress each binary at every deployment, which takes longer than all the rest. A package's bytes depend
    on its binary alone, so that SAM does not upload it twice.
    """
    packages = settings.state / "packages"
    packages.mkdir(exist_ok=True)
    text = _TEMPLATE.read_text().replace("../statemachines", str(REPOSITORY / "statemachines"))
    for name in FUNCTIONS:
        binary, package = settings.functions / name / "bootstrap", packages / f"{name}.zip"
        if not package.exists() or package.stat().st_mtime_ns <= binary.stat().st_mtime_ns:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            with zipfile.ZipFile(package, "w") as archive:
                archive.writestr(entry, binary.read_bytes())
        text = text.replace(f"../target/lambda/{name}", str(package))
    copy = settings.state / "template.yaml"
    copy.write_text(text)
    return copy


def _outputs(environment: dict[str, str]) -> dict[str, str]:
    import boto3

    session = boto3.Session(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    client = session.client("cloudformation", environment["AWS_REGION"], endpoint_url=environment["AWS_ENDPOINT_URL"])
    found = client.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
