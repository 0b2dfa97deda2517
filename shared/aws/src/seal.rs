//! The sealing key of a recovery point, derived by KMS.

use crate::failure::Failure;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;
use holdfast_core::ids::RecoveryPointId;
use holdfast_core::seal::{SealKey, seal_key_message};

/// Derives the key that seals a recovery point's tags, from the HMAC key that never leaves KMS.
///
/// # Errors
/// The call failed, or KMS answered without a MAC.
pub async fn derive_seal_key(
    kms: &aws_sdk_kms::Client,
    key_id: &str,
    recovery_point: &RecoveryPointId,
) -> Result<SealKey, Failure> {
    let what = || format!("deriving the seal of {recovery_point} under {key_id}");
    let answer = kms
        .generate_mac()
        .key_id(key_id)
        .mac_algorithm(MacAlgorithmSpec::HmacSha256)
        .message(Blob::new(seal_key_message(recovery_point)))
        .send()
        .await
        .map_err(|error| Failure::call(what(), error))?;
    let mac = answer
        .mac
        .ok_or_else(|| Failure::permanent(format!("{}: KMS answered without a MAC", what())))?;
    Ok(SealKey::new(mac.into_inner()))
}
