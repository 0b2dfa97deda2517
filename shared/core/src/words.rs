//! Words of messages.

/// A number of things: `1 volume`, `2 volumes`.
#[must_use]
pub fn counted(number: impl TryInto<u64>, thing: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_several() {
        let words: Vec<String> = (0_usize..3).map(|number| counted(number, "volume")).collect();
        assert_eq!(words, ["0 volumes", "1 volume", "2 volumes"]);
    }
}
