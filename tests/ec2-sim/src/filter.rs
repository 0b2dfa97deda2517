//! The filters of describe calls: names with values in which `*` and `?` are wildcards.

use std::fmt::Display;

use jiff::Timestamp;

use crate::error::Ec2Error;
use crate::params::Params;
use crate::tags::Tags;
use crate::world::Region;

/// Filters that a call may have.
const FILTER_LIMIT: usize = 50;
/// Values that a filter may have.
const VALUE_LIMIT: usize = 200;

/// What a resource needs to know to tell its filterable values.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) now: Timestamp,
    pub(crate) account: &'a str,
    pub(crate) region: &'a Region,
}

/// A resource that a describe call can filter.
pub(crate) trait Filterable {
    /// The filters beside `tag:KEY`, `tag-key` and `tag-value`.
    const FILTERS: &'static [&'static str];

    fn tags(&self) -> &Tags;

    /// Hands every value that the resource has under a filter's name to `values`.
    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>);
}

impl<R: Filterable> Filterable for &R {
    const FILTERS: &'static [&'static str] = R::FILTERS;

    fn tags(&self) -> &Tags {
        (**self).tags()
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        (**self).each_value(filter, view, values);
    }
}

/// Takes a resource's values for one filter and remembers whether one matched.
pub(crate) struct Values<'a> {
    patterns: &'a [Pattern],
    matched: bool,
}

impl Values<'_> {
    pub(crate) fn text(&mut self, value: &str) {
        self.matched = self.matched || self.patterns.iter().any(|pattern| pattern.matches(value));
    }

    pub(crate) fn maybe(&mut self, value: Option<&str>) {
        if let Some(value) = value {
            self.text(value);
        }
    }

    pub(crate) fn shown(&mut self, value: impl Display) {
        self.text(&value.to_string());
    }
}

/// All filters of a call; a resource must match each of them with at least one value.
#[derive(Debug, Default)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    name: String,
    patterns: Vec<Pattern>,
}

impl Filters {
    pub(crate) fn read<R: Filterable>(params: &Params) -> Result<Self, Ec2Error> {
        let given = params.structs("Filter");
        if given.len() > FILTER_LIMIT {
            return Err(Ec2Error::new(
                "FilterLimitExceeded",
                format!("The maximum number of filters specified on a single call is {FILTER_LIMIT}"),
            ));
        }
        given
            .iter()
            .map(Filter::read::<R>)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn match_all<R: Filterable>(&self, resource: &R, view: View<'_>) -> bool {
        self.0.iter().all(|filter| filter.matches(resource, view))
    }
}

impl Filter {
    fn read<R: Filterable>(params: &Params) -> Result<Self, Ec2Error> {
        let name = params.required("Name")?.to_owned();
        let known = name.strip_prefix("tag:").is_some_and(|key| !key.is_empty())
            || matches!(name.as_str(), "tag-key" | "tag-value")
            || R::FILTERS.contains(&name.as_str());
        if !known {
            return Err(Ec2Error::invalid_value(format!("The filter '{name}' is invalid")));
        }
        let values = params.list("Value");
        if values.is_empty() {
            return Err(Ec2Error::invalid_value("The filter 'null' is invalid"));
        }
        if values.len() > VALUE_LIMIT {
            return Err(Ec2Error::new(
                "FilterLimitExceeded",
                format!("The maximum number of filter values specified on a single call is {VALUE_LIMIT}"),
            ));
        }
        Ok(Self {
            name,
            patterns: values.into_iter().map(Pattern::new).collect(),
        })
    }

    fn matches<R: Filterable>(&self, resource: &R, view: View<'_>) -> bool {
        let mut values = Values {
            patterns: &self.patterns,
            matched: false,
        };
        if let Some(key) = self.name.strip_prefix("tag:") {
            values.maybe(resource.tags().get(key));
        } else {
            match self.name.as_str() {
                "tag-key" => resource.tags().iter().for_each(|(key, _)| values.text(key)),
                "tag-value" => resource.tags().iter().for_each(|(_, value)| values.text(value)),
                name => resource.each_value(name, view, &mut values),
            }
        }
        values.matched
    }
}

/// One value of a filter.
#[derive(Debug)]
enum Pattern {
    Plain(String),
    Wild(Vec<Piece>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Character(char),
    AnyOne,
    AnyMany,
}

impl Pattern {
    /// A backslash takes the meaning from the character after it.
    fn new(text: &str) -> Self {
        if !text.contains(['*', '?', '\\']) {
            return Self::Plain(text.to_owned());
        }
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            pieces.push(match character {
                '*' => Piece::AnyMany,
                '?' => Piece::AnyOne,
                '\\' => Piece::Character(characters.next().unwrap_or('\\')),
                plain => Piece::Character(plain),
            });
        }
        Self::Wild(pieces)
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Plain(text) => text == value,
            Self::Wild(pieces) => matches_pieces(pieces, value),
        }
    }
}

/// Tries the shortest run for each `*` and lengthens the last one when what follows does not fit.
fn matches_pieces(pieces: &[Piece], value: &str) -> bool {
    let value: Vec<char> = value.chars().collect();
    let (mut piece, mut position) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while position < value.len() {
        let fits = match pieces.get(piece) {
            Some(Piece::AnyMany) => {
                retry = Some((piece, position));
                piece += 1;
                continue;
            }
            Some(Piece::AnyOne) => true,
            Some(Piece::Character(wanted)) => *wanted == value[position],
            None => false,
        };
        if fits {
            piece += 1;
            position += 1;
        } else if let Some((star, tried)) = retry {
            retry = Some((star, tried + 1));
            piece = star + 1;
            position = tried + 1;
        } else {
            return false;
        }
    }
    pieces[piece..].iter().all(|rest| *rest == Piece::AnyMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_wildcards_as_aws_does() {
        for (pattern, value, expected) in [
            ("web", "web", true),
            ("web", "webs", false),
            ("web*", "webserver", true),
            ("*b?c*", "aabxcd", true),
            ("*ab", "aaab", true),
            ("?", "", false),
            ("?", "ab", false),
            ("*", "", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("Äpfel*", "Äpfel und Birnen", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(value),
                expected,
                "{pattern} {value}"
            );
        }
    }
}
