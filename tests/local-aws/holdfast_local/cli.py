"""The command line: `python -m holdfast_local up|deploy|down|status|doctor`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from holdfast_local import doctor, stack
from holdfast_local.deploy import MAIN, TEMPLATES, deploy
from holdfast_local.ports import PortTakenError
from holdfast_local.settings import REGION, Settings, SettingsError, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(read_settings(getattr(options, "simulator", None)), options)
    except (SettingsError, PortTakenError, stack.StackError) as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdfast_local", description="The whole AWS stack on one machine.")
    commands = parser.add_subparsers(required=True, metavar="command")
    up = commands.add_parser("up", help="start the stack and wait until it answers")
    up.add_argument("--simulator", help="the ec2-sim binary (default: target/debug/ec2-sim)")
    up.set_defaults(run=_up)
    deploying = commands.add_parser("deploy", help="deploy a template and its functions into the stack")
    deploying.add_argument("--account", help="the account to deploy into (default: 000000000000)")
    deploying.add_argument("--region", default=REGION, help=f"the region to deploy into (default: {REGION})")
    deploying.add_argument("--template", default=MAIN.name, choices=TEMPLATES, help="(default: %(default)s)")
    deploying.add_argument("--parameter", action="append", default=[], type=_parameter, metavar="NAME=VALUE")
    deploying.set_defaults(run=_deploy)
    commands.add_parser("down", help="end the stack").set_defaults(run=_down)
    commands.add_parser("status", help="say what runs").set_defaults(run=_status)
    commands.add_parser("doctor", help="say what this machine lacks").set_defaults(run=lambda *_: doctor.main())
    return parser


def _up(settings: Settings, _: argparse.Namespace) -> int:
    started = stack.up(settings, print)
    print(f"AWS endpoint   {started.endpoint}")
    print(f"EC2 simulator  {started.simulator}")
    print(f"To use it:     . {settings.state}/env")
    return 0


def _deploy(settings: Settings, options: argparse.Namespace) -> int:
    outputs = deploy(
        settings,
        stack.require(settings),
        print,
        account=options.account,
        region=options.region,
        template=TEMPLATES[options.template],
        parameters=dict(options.parameter),
    )
    for name, value in outputs.items():
        print(f"{name:<28} {value}")
    return 0


def _parameter(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not name or not found:
        raise argparse.ArgumentTypeError(f"{text}: not NAME=VALUE")
    return name, value


def _down(settings: Settings, _: argparse.Namespace) -> int:
    ended = stack.down(settings)
    print("Nothing was running." if not ended else f"Ended {ended} process{'es' if ended > 1 else ''}.")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    found = stack.find(settings)
    if found is None:
        print(f"No local stack runs in {settings.state}.")
        return 1
    print(f"AWS endpoint   {found.endpoint}\nEC2 simulator  {found.simulator}")
    print(
        f"Outputs        {settings.state / 'outputs.json'}"
        if (settings.state / "outputs.json").exists()
        else "Not deployed yet."
    )
    return 0
