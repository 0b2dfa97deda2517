"""Lambda functions of the user's own that prove a restored instance good, or do not."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from deployed import unique
from places import Place

YES = {"proved": True, "reason": "the shop sells"}
NO = {"proved": False, "reason": "the shop is empty"}
UNDECIDED = {"proved": None, "reason": "the shop is closed"}


def make_proof(place: Place, answer: dict[str, Any]) -> dict[str, Any]:
    """Make a function that always answers this; give the proof that asks it."""
    name = unique("holdfast-proof")
    source = f"import json\n\ndef handler(event, context):\n    return json.loads({json.dumps(answer)!r})\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", source)
    place.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=_role(place),
        Handler="index.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    return {"lambda": {"function_name": name}}


def _role(place: Place) -> str:
    iam, name = place.client("iam"), unique("proof")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
