"""CloudFormation turns the words `true` and `false` of a table's property into the truth values they mean.

MiniStack keeps the word: SDKs cannot read the table's description, and every table refuses to be deleted.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

_NAME = "DeletionProtectionEnabled"


def install() -> None:
    """Read the word before a table is made or changed."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create, update = handlers["create"], handlers["update"]

    def create_table(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        return create(logical_id, _read(props), stack_name)

    def update_table(physical_id: str, old: dict[str, Any], new: dict[str, Any], *rest: Any, **more: Any) -> Any:
        return update(physical_id, _read(old), _read(new), *rest, **more)

    handlers.update(create=create_table, update=update_table)


def _read(props: dict[str, Any]) -> dict[str, Any]:
    word = props.get(_NAME)
    return {**props, _NAME: word.lower() == "true"} if isinstance(word, str) else props
