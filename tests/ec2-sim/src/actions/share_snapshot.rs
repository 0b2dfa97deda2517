//! `ModifySnapshotAttribute`, `DescribeSnapshotAttribute` and `ResetSnapshotAttribute`: whom a snapshot is shared with.

use crate::error::Ec2Error;
use crate::kms;
use crate::params::Params;
use crate::world::sharing::Sharing;
use crate::world::snapshot::Snapshot;
use crate::world::tier::Tier;
use crate::xml::Xml;

use super::Scope;

const PERMISSION: &str = "createVolumePermission";

/// What a call adds and removes.
#[derive(Debug, Default)]
struct Change {
    added: Sharing,
    removed: Sharing,
}

pub(super) fn modify(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let snapshot = scope.snapshot(params.required("SnapshotId")?)?;
    let attribute = params.text("Attribute").unwrap_or(PERMISSION);
    if attribute != PERMISSION {
        return Err(Ec2Error::invalid_value(format!(
            "Value ({attribute}) for parameter attribute is invalid. Only createVolumePermission can be modified."
        )));
    }
    let Change { added, removed } = Change::read(params)?;
    if added != Sharing::default() {
        check_shareable(snapshot, &added, scope)?;
    }
    let id = snapshot.id.clone();
    if let Some(snapshot) = scope.region.snapshots.get_mut(&id) {
        let sharing = &mut snapshot.sharing;
        sharing.accounts.extend(added.accounts);
        sharing
            .accounts
            .retain(|account| !removed.accounts.contains(account));
        sharing.everyone = (sharing.everyone || added.everyone) && !removed.everyone;
    }
    Ok(Xml::done())
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let snapshot = scope.snapshot(params.required("SnapshotId")?)?;
    let mut xml = Xml::new();
    xml.text("snapshotId", &snapshot.id);
    match params.required("Attribute")? {
        PERMISSION => {
            let Sharing { accounts, everyone } = &snapshot.sharing;
            let accounts = accounts.iter().map(|account| ("userId", account.as_str()));
            let group = everyone.then_some(("group", "all"));
            xml.list(PERMISSION, accounts.chain(group), |xml, (name, value)| {
                xml.text(name, value);
            });
        }
        "productCodes" => {
            xml.block("productCodes", |_| {});
        }
        unknown => return Err(unknown_attribute(unknown)),
    }
    Ok(xml)
}

pub(super) fn reset(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let attribute = params.required("Attribute")?;
    let snapshot = scope.snapshot_mut(params.required("SnapshotId")?)?;
    if attribute != PERMISSION {
        return Err(unknown_attribute(attribute));
    }
    snapshot.sharing = Sharing::default();
    Ok(Xml::done())
}

fn unknown_attribute(attribute: &str) -> Ec2Error {
    Ec2Error::invalid_value(format!(
        "Value ({attribute}) for parameter attribute is invalid. Unknown attribute."
    ))
}

impl Change {
    /// Reads both forms that AWS knows: an operation with accounts and groups, and a structure of modifications.
    fn read(params: &Params) -> Result<Self, Ec2Error> {
        let mut change = Self::default();
        let permission = params.inner("CreateVolumePermission");
        for (side, name) in [(&mut change.added, "Add"), (&mut change.removed, "Remove")] {
            for entry in permission.structs(name) {
                side.read(entry.text("UserId"), entry.text("Group"))?;
            }
        }
        let (users, groups) = (params.list("UserId"), params.list("UserGroup"));
        if !users.is_empty() || !groups.is_empty() {
            let side = match params.required("OperationType")? {
                "add" => &mut change.added,
                "remove" => &mut change.removed,
                other => {
                    return Err(Ec2Error::invalid_value(format!(
                        "Value ({other}) for parameter operationType is invalid. Expected: 'add' or 'remove'."
                    )));
                }
            };
            for user in users {
                side.read(Some(user), None)?;
            }
            for group in groups {
                side.read(None, Some(group))?;
            }
        }
        let nobody = Sharing::default();
        match (change.added == nobody, change.removed == nobody) {
            (true, true) => Err(Ec2Error::missing("CreateVolumePermission")),
            (false, false) => Err(Ec2Error::invalid_combination(
                "A call can either add or remove permissions, not both.",
            )),
            _ => Ok(change),
        }
    }
}

impl Sharing {
    fn read(&mut self, account: Option<&str>, group: Option<&str>) -> Result<(), Ec2Error> {
        if let Some(account) = account {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Ec2Error::new(
                    "InvalidUserID.Malformed",
                    format!("Invalid user id: \"{account}\""),
                ));
            }
            self.accounts.insert(account.to_owned());
        }
        match group {
            None => {}
            Some("all") => self.everyone = true,
            Some(other) => {
                return Err(Ec2Error::new(
                    "InvalidPermission.Malformed",
                    format!("Invalid group: \"{other}\""),
                ));
            }
        }
        Ok(())
    }
}

fn check_shareable(snapshot: &Snapshot, added: &Sharing, scope: &Scope<'_>) -> Result<(), Ec2Error> {
    let default_key = kms::default_key(&scope.region.name, scope.account);
    if snapshot.key.as_deref() == Some(default_key.as_str()) {
        return Err(Ec2Error::new(
            "OperationNotPermitted",
            "Encrypted snapshots with EBS default key cannot be shared",
        ));
    }
    if snapshot.key.is_some() && added.everyone {
        return Err(Ec2Error::new(
            "OperationNotPermitted",
            "Encrypted snapshots cannot be made public",
        ));
    }
    if snapshot.tiering.tier(scope.now) == Tier::Archive {
        return Err(Ec2Error::new(
            "IncorrectState",
            format!(
                "The snapshot '{}' is archived and must be restored before it can be shared.",
                snapshot.id
            ),
        ));
    }
    Ok(())
}
