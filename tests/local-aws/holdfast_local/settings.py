"""Where things are and which ports to use: read once, from arguments and the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
HOST = "127.0.0.1"
REGION = "us-east-1"
STACK_NAME = "holdfast"


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable and what to do."""


@dataclass(frozen=True)
class Settings:
    """The choices of one stack. Two stacks differ in `state` and in both ports."""

    state: Path
    port: int
    simulator_port: int
    simulator: Path
    functions: Path

    @property
    def logs(self) -> Path:
        """Where the stack's processes write what they have to say."""
        return self.state / "logs"


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip() or str(default)
    if not text.isdecimal() or int(text) > 65535:
        raise SettingsError(f"{variable}={text}: not a port. Give a number from 1 to 65535, or 0 for any free one.")
    return int(text)


def _path(variable: str, default: str) -> Path:
    return (REPOSITORY / (os.environ.get(variable, "").strip() or default)).resolve()


def read_settings(simulator: str | None = None) -> Settings:
    """Read the settings; a relative path counts from the repository's root."""
    return Settings(
        state=_path("HOLDFAST_STATE", ".local"),
        port=_port("HOLDFAST_PORT", 4566),
        simulator_port=_port("HOLDFAST_SIM_PORT", 4570),
        simulator=Path(simulator).resolve() if simulator else _path("HOLDFAST_SIM_BINARY", "target/debug/ec2-sim"),
        functions=_path("HOLDFAST_FUNCTIONS", "target/lambda"),
    )
