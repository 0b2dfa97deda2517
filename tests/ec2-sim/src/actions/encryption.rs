//! Encryption by default: whether new volumes and copies are encrypted without being asked, and under which key.

use crate::error::Ec2Error;
use crate::kms;
use crate::params::Params;
use crate::xml::Xml;

use super::Scope;

pub(super) fn enable(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    scope.region.encryption.by_default = true;
    is_by_default(scope, params)
}

pub(super) fn disable(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    scope.region.encryption.by_default = false;
    is_by_default(scope, params)
}

#[expect(clippy::unnecessary_wraps, reason = "a handler is of one shape")]
pub(super) fn is_by_default(scope: &mut Scope<'_>, _params: &Params) -> Result<Xml, Ec2Error> {
    let mut xml = Xml::new();
    xml.text("ebsEncryptionByDefault", scope.region.encryption.by_default);
    Ok(xml)
}

/// The key may be named by id, ARN, alias or alias ARN.
pub(super) fn modify_key(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let named = params.required("KmsKeyId")?;
    let key = kms::key_arn(&scope.region.name, scope.account, named);
    scope.region.encryption.own_key = Some(key);
    key_id(scope, params)
}

pub(super) fn reset_key(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    scope.region.encryption.own_key = None;
    key_id(scope, params)
}

/// AWS names its own key by its alias, and a user's by its ARN.
#[expect(clippy::unnecessary_wraps, reason = "a handler is of one shape")]
pub(super) fn key_id(scope: &mut Scope<'_>, _params: &Params) -> Result<Xml, Ec2Error> {
    let own = scope.region.encryption.own_key.as_deref();
    let mut xml = Xml::new();
    xml.text("kmsKeyId", own.unwrap_or(kms::DEFAULT_ALIAS));
    Ok(xml)
}
