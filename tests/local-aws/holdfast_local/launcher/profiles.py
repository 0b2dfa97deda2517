"""Instance profiles are judged on themselves.

MiniStack judges `iam:GetInstanceProfile` and its kin on the role that the call names, and on `*` where it names none.
AWS judges them on the instance profile, whose ARN holds its path.
"""

from __future__ import annotations

from ministack.core import iam_actions
from ministack.services import iam


def install() -> None:
    """Give IAM the ARN of the profile that a call names."""
    resource = iam_actions.extract_resource_arn

    def on_the_profile(
        service: str, method: str, path: str, headers: dict, body: bytes, params: dict, region: str, account: str
    ) -> str:
        name = iam_actions._query_param(params, "InstanceProfileName") if service == "iam" else ""
        if not name:
            return resource(service, method, path, headers, body, params, region, account)
        known = iam._instance_profiles.get_scoped(account, None, name)
        return known["Arn"] if known else f"arn:aws:iam::{account}:instance-profile/{name}"

    iam_actions.extract_resource_arn = on_the_profile
