"""Starts MiniStack in this process, with our changes in place."""

from __future__ import annotations

import os

from ministack import app

from holdfast_local.launcher import (
    bucket_templates,
    buckets,
    conditions,
    control,
    decisions,
    deliveries,
    ec2_authorization,
    encrypted_objects,
    executions,
    forwarding,
    keys,
    map_runs,
    schedules,
    service_roles,
    tables,
    virtual_time,
)


def main() -> None:
    """Put the changes in place and serve until told to stop."""
    simulator = os.environ["HOLDFAST_SIM_URL"]
    forwarding.install(simulator)
    keys.install(simulator)
    ec2_authorization.install(simulator)
    conditions.install()
    buckets.install()
    encrypted_objects.install()
    bucket_templates.install()
    schedules.install()
    executions.install()
    map_runs.install()
    virtual_time.install(simulator)
    service_roles.install()
    deliveries.install()
    tables.install()
    # Last: it writes down what all the others ask.
    decisions.install()
    control.install()
    app.main()


main()
