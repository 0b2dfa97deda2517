//! `${Name}` in the strings of a definition.

use crate::node::Node;
use crate::place::{DefinitionError, Place};
use std::collections::{BTreeMap, BTreeSet};

/// The names of all `${Name}` in a definition: what a template's `DefinitionSubstitutions` must give.
///
/// # Errors
/// [`DefinitionError`] if the text is not JSON.
pub fn substitution_names(asl: &str) -> Result<BTreeSet<String>, DefinitionError> {
    let node = Node::parse(asl).map_err(|error| Place::default().error(format!("is not JSON: {error}")))?;
    let mut names = BTreeSet::new();
    node.each_text(&mut |_, text| {
        for part in split(text) {
            if let Part::Name(name) = part {
                names.insert(name.to_owned());
            }
        }
    });
    Ok(names)
}

pub(super) fn substitute(node: &mut Node, values: &BTreeMap<String, String>) -> Result<(), DefinitionError> {
    fn walk(
        node: &mut Node,
        path: &mut Vec<String>,
        values: &BTreeMap<String, String>,
    ) -> Result<(), DefinitionError> {
        match node {
            Node::String(text) if text.contains("${") => {
                let mut replaced = String::new();
                for part in split(text) {
                    replaced.push_str(match part {
                        Part::Text(text) => text,
                        Part::Name(name) => values.get(name).map(String::as_str).ok_or_else(|| {
                            Place::from_path(path).error(format!("`${{{name}}}` has no substitution"))
                        })?,
                    });
                }
                *text = replaced;
            }
            Node::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    path.push(index.to_string());
                    walk(item, path, values)?;
                    path.pop();
                }
            }
            Node::Object(entries) => {
                for (key, entry) in entries {
                    path.push(key.clone());
                    walk(entry, path, values)?;
                    path.pop();
                }
            }
            _ => {}
        }
        Ok(())
    }
    walk(node, &mut Vec::new(), values)
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// `${` that no name follows is text: `JSONata` groups with it.
fn split(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let length = after
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(after.len());
        if length > 0 && after[length..].starts_with('}') {
            parts.push(Part::Text(&rest[..start]));
            parts.push(Part::Name(&after[..length]));
            rest = &after[length + 1..];
        } else {
            parts.push(Part::Text(&rest[..start + 2]));
            rest = after;
        }
    }
    parts.push(Part::Text(rest));
    parts
}
