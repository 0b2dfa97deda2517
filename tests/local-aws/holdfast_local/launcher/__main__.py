"""Starts MiniStack in this process, with our changes in place."""

from __future__ import annotations

import os

from ministack import app

from holdfast_local.launcher import (
    control,
    decisions,
    deliveries,
    ec2_authorization,
    executions,
    forwarding,
    schedules,
    service_roles,
    tables,
    virtual_time,
)


def main() -> None:
    """Put the changes in place and serve until told to stop."""
    simulator = os.environ["HOLDFAST_SIM_URL"]
    forwarding.install(simulator)
    ec2_authorization.install(simulator)
    schedules.install()
    executions.install()
    virtual_time.install(simulator)
    service_roles.install()
    deliveries.install()
    tables.install()
    # Last: it writes down what all the others ask.
    decisions.install()
    control.install()
    app.main()


main()
