//! Reads the fields of one object, each of the type it must have, and refuses those nobody asked for.

use crate::node::Node;
use crate::place::{DefinitionError, Place};
use crate::template::{Reads, Template};

/// The fields of an object, and where it stands.
pub(super) struct Fields<'a> {
    pub(super) place: Place,
    entries: &'a [(String, Node)],
}

impl<'a> Fields<'a> {
    /// Takes an object whose every key is one of `known`.
    pub(super) fn of(node: &'a Node, place: Place, known: &[&str]) -> Result<Self, DefinitionError> {
        let entries = node
            .entries()
            .ok_or_else(|| place.error(format!("must be an object, is {}", node.kind())))?;
        for (key, _) in entries {
            if !known.contains(&key.as_str()) {
                let problem = if is_json_path_field(key) {
                    "belongs to JSONPath; the query language here is JSONata".to_owned()
                } else {
                    format!("is not known here; known are {}", known.join(", "))
                };
                return Err(place.field(key).error(problem));
            }
        }
        Ok(Self { place, entries })
    }

    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(super) fn required(&self, key: &str) -> Result<&'a Node, DefinitionError> {
        self.node(key)
            .ok_or_else(|| self.place.field(key).error("is missing"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, DefinitionError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let text = node.text();
        text.map(Some).ok_or_else(|| self.wrong(key, "a string", node))
    }

    pub(super) fn required_text(&self, key: &str) -> Result<&'a str, DefinitionError> {
        self.required(key)?;
        Ok(self.text(key)?.unwrap_or_default())
    }

    pub(super) fn array(&self, key: &str) -> Result<&'a [Node], DefinitionError> {
        let Some(node) = self.node(key) else {
            return Ok(&[]);
        };
        let items = node.items().ok_or_else(|| self.wrong(key, "an array", node))?;
        if items.is_empty() {
            return Err(self.place.field(key).error("must not be empty"));
        }
        Ok(items)
    }

    /// A list of strings that must be there and must not be empty.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, DefinitionError> {
        self.required(key)?;
        let items = self.array(key)?.iter();
        let texts = items.map(|item| item.text().map(str::to_owned));
        texts
            .collect::<Option<_>>()
            .ok_or_else(|| self.place.field(key).error("must be an array of strings"))
    }

    /// A number between `least` and `most`.
    pub(super) fn number(&self, key: &str, least: f64, most: f64) -> Result<Option<f64>, DefinitionError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let number = match node {
            Node::Number(number) => number.as_f64(),
            _ => return Err(self.wrong(key, "a number", node)),
        };
        let fits = number.filter(|number| (least..=most).contains(number));
        fits.map(Some).ok_or_else(|| {
            let problem = format!("must be between {least} and {most}");
            self.place.field(key).error(problem)
        })
    }

    /// A whole number between `least` and `most`.
    pub(super) fn whole(&self, key: &str, least: u32, most: u32) -> Result<Option<u32>, DefinitionError> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let number = match node {
            Node::Number(number) => number.as_u64(),
            _ => return Err(self.wrong(key, "a number", node)),
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        let fits = number.filter(|number| (least..=most).contains(number));
        fits.map(Some).ok_or_else(|| {
            let problem = format!("must be a whole number between {least} and {most}");
            self.place.field(key).error(problem)
        })
    }

    pub(super) fn template(&self, key: &str, reads: Reads) -> Result<Option<Template>, DefinitionError> {
        let node = self.node(key);
        node.map(|node| Template::parse(node, &self.place.field(key), reads))
            .transpose()
    }

    /// A number, or an expression that will give one.
    pub(super) fn number_template(
        &self,
        key: &str,
        least: u32,
        most: u32,
    ) -> Result<Option<Template>, DefinitionError> {
        match self.node(key) {
            Some(Node::Number(_)) => {
                self.whole(key, least, most)?;
            }
            Some(Node::String(_)) | None => {}
            Some(node) => return Err(self.wrong(key, "a number or an expression", node)),
        }
        let template = self.template(key, Reads::Input)?;
        if let Some(Template::Constant(serde_json::Value::String(text))) = &template {
            let problem = format!("must be a number or an expression, is the string `{text}`");
            return Err(self.place.field(key).error(problem));
        }
        Ok(template)
    }

    fn wrong(&self, key: &str, expected: &str, node: &Node) -> DefinitionError {
        let problem = format!("must be {expected}, is {}", node.kind());
        self.place.field(key).error(problem)
    }
}

fn is_json_path_field(key: &str) -> bool {
    key.ends_with("Path") || matches!(key, "Parameters" | "ResultSelector" | "Result" | "Variable")
}
