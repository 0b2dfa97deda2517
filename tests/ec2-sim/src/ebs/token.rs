//! Block and page tokens. A token carries what it stands for and when it expires, so nothing is kept
//! of those that were given out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};

use crate::clock::after;

use super::error::EbsError;

const BLOCK_LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
const PAGE_LIFE: SignedDuration = SignedDuration::from_mins(60);

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Block,
    Page,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Page => "page",
        }
    }
}

/// When block tokens that are given out now stop to work.
pub(super) fn block_expiry(now: Timestamp) -> Timestamp {
    after(now, BLOCK_LIFE)
}

/// A token to read one block of a snapshot with.
pub(super) fn block_token(snapshot: &str, index: u32, expiry: Timestamp) -> String {
    write(Purpose::Block, snapshot, index, expiry)
}

/// Refuses a token that is not for this block of this snapshot, or not any more.
pub(super) fn check_block_token(
    token: &str,
    snapshot: &str,
    index: u32,
    now: Timestamp,
) -> Result<(), EbsError> {
    let refuse = |message: String| EbsError::validation("INVALID_BLOCK_TOKEN", message);
    match read(Purpose::Block, token, snapshot) {
        Some((meant, expiry)) if meant == index && now < expiry => Ok(()),
        Some((meant, _)) if meant == index => Err(refuse("The block token has expired.".to_owned())),
        _ => Err(refuse(format!(
            "The block token is not valid for block {index} of '{snapshot}'."
        ))),
    }
}

/// A token for the page of a list that begins at a block. `list` names what is listed.
pub(super) fn page_token(list: &str, next: u32, now: Timestamp) -> String {
    write(Purpose::Page, list, next, after(now, PAGE_LIFE))
}

/// The block at which the page of a token begins.
pub(super) fn read_page_token(token: &str, list: &str, now: Timestamp) -> Result<u32, EbsError> {
    let refuse = |message: &str| EbsError::validation("INVALID_PAGE_TOKEN", message);
    match read(Purpose::Page, token, list) {
        Some((next, expiry)) if now < expiry => Ok(next),
        Some(_) => Err(refuse("The page token has expired.")),
        None => Err(refuse("The page token is not valid for this list.")),
    }
}

fn write(purpose: Purpose, subject: &str, index: u32, expiry: Timestamp) -> String {
    BASE64.encode(format!(
        "{}:{subject}:{index}:{}",
        purpose.word(),
        expiry.as_millisecond()
    ))
}

/// The index and the expiry in a token, when it has this purpose and subject.
fn read(purpose: Purpose, token: &str, subject: &str) -> Option<(u32, Timestamp)> {
    let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    let mut parts = text.split(':');
    let mut next = || parts.next();
    if next()? != purpose.word() || next()? != subject {
        return None;
    }
    let index = next()?.parse().ok()?;
    let expiry = Timestamp::from_millisecond(next()?.parse().ok()?).ok()?;
    Some((index, expiry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn reason<T: std::fmt::Debug>(result: Result<T, EbsError>) -> &'static str {
        result.unwrap_err().reason.unwrap()
    }

    #[test]
    fn is_good_for_its_own_block_alone() {
        let token = block_token("snap-1", 7, block_expiry(NOW));
        assert_eq!(check_block_token(&token, "snap-1", 7, NOW), Ok(()));
        assert_eq!(
            reason(check_block_token(&token, "snap-2", 7, NOW)),
            "INVALID_BLOCK_TOKEN"
        );
        assert_eq!(
            reason(check_block_token(&token, "snap-1", 8, NOW)),
            "INVALID_BLOCK_TOKEN"
        );
        assert_eq!(
            reason(check_block_token("bm9uc2Vuc2U=", "snap-1", 7, NOW)),
            "INVALID_BLOCK_TOKEN"
        );
        assert_eq!(
            reason(read_page_token(&token, "snap-1", NOW)),
            "INVALID_PAGE_TOKEN"
        );
    }

    #[test]
    fn lasts_seven_days_for_a_block_and_an_hour_for_a_page() {
        let block = block_token("snap-1", 7, block_expiry(NOW));
        let page = page_token("snap-1/snap-2", 100, NOW);
        let later = |hours, seconds| {
            after(
                NOW,
                SignedDuration::from_hours(hours) + SignedDuration::from_secs(seconds),
            )
        };
        assert!(check_block_token(&block, "snap-1", 7, later(168, -1)).is_ok());
        assert_eq!(
            reason(check_block_token(&block, "snap-1", 7, later(168, 0))),
            "INVALID_BLOCK_TOKEN"
        );
        assert_eq!(read_page_token(&page, "snap-1/snap-2", later(1, -1)), Ok(100));
        assert_eq!(
            reason(read_page_token(&page, "snap-1/snap-2", later(1, 0))),
            "INVALID_PAGE_TOKEN"
        );
        assert_eq!(
            reason(read_page_token(&page, "snap-1", NOW)),
            "INVALID_PAGE_TOKEN"
        );
    }

    #[test]
    fn keeps_to_the_form_and_length_of_aws() {
        let longest = format!("snap-{}", "0".repeat(17));
        let list = format!("{longest}/{longest}");
        for token in [
            block_token(&longest, u32::MAX, Timestamp::MAX),
            page_token(&list, u32::MAX, NOW),
        ] {
            assert!(token.len() <= 256, "{}", token.len());
            // `+` and `/` mean something else in a query when a client forgets to encode them.
            assert!(
                token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'='),
                "{token}"
            );
        }
    }
}
