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
    default_keys,
    deliveries,
    ec2_authorization,
    encrypted_objects,
    executions,
    forwarding,
    guest_commands,
    keys,
    map_runs,
    profiles,
    restore_keys,
    schedules,
    service_roles,
    tables,
    target_groups,
    virtual_time,
)


def main() -> None:
    """Put the changes in place and serve until told to stop."""
    simulator = os.environ["HOLDFAST_SIM_URL"]
    forwarding.install(simulator)
    keys.install(simulator)
    restore_keys.install(simulator)
    default_keys.install()
    ec2_authorization.install(simulator)
    guest_commands.install(simulator)
    target_groups.install(simulator)
    conditions.install()
    buckets.install()
    encrypted_objects.install()
    bucket_templates.install()
    schedules.install()
    executions.install()
    map_runs.install()
    virtual_time.install(simulator)
    service_roles.install()
    profiles.install()
    deliveries.install()
    tables.install()
    # Last: it writes down what all the others ask.
    decisions.install()
    control.install()
    app.main()


main()
