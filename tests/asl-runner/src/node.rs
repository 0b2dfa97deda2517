//! A JSON document that remembers the order of its keys.
//!
//! `serde_json` only does so with a feature that would change every crate of the workspace.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use std::fmt;

/// One value of the document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a document. A key that stands twice in one object is an error: one of the two would be lost unseen.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// What stands under `key`, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let entries = self.entries()?;
        entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn entries(&self) -> Option<&[(String, Node)]> {
        match self {
            Node::Object(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> Option<&[Node]> {
        match self {
            Node::Array(items) => Some(items),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::String(_) => "a string",
            Node::Array(_) => "an array",
            Node::Object(_) => "an object",
        }
    }

    /// The same value without the order.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Node::Null => Value::Null,
            Node::Bool(bool) => Value::Bool(*bool),
            Node::Number(number) => Value::Number(number.clone()),
            Node::String(text) => Value::String(text.clone()),
            Node::Array(items) => items.iter().map(Node::to_value).collect(),
            Node::Object(entries) => {
                let entries = entries.iter().map(|(key, node)| (key.clone(), node.to_value()));
                Value::Object(entries.collect())
            }
        }
    }

    /// Calls `look` with every string value below this one and the keys and indices that lead to it.
    pub(crate) fn each_text<'a>(&'a self, look: &mut dyn FnMut(&[String], &'a str)) {
        fn walk<'a>(node: &'a Node, path: &mut Vec<String>, look: &mut dyn FnMut(&[String], &'a str)) {
            let mut below = |key: String, child: &'a Node, path: &mut Vec<String>| {
                path.push(key);
                walk(child, path, look);
                path.pop();
            };
            match node {
                Node::String(text) => look(path, text),
                Node::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        below(index.to_string(), item, path);
                    }
                }
                Node::Object(entries) => {
                    for (key, child) in entries {
                        below(key.clone(), child, path);
                    }
                }
                Node::Null | Node::Bool(_) | Node::Number(_) => {}
            }
        }
        walk(self, &mut Vec::new(), look);
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("the number is not finite"))?;
        Ok(Node::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((key, node)) = map.next_entry::<String, Node>()? {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` stands twice in one object"
                )));
            }
            entries.push((key, node));
        }
        Ok(Node::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_keys() {
        let node = Node::parse(r#"{"b": 1, "a": [true, null, -2, 1.5, "x"]}"#).unwrap();
        let keys: Vec<&str> = node
            .entries()
            .unwrap()
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(
            node.to_value(),
            serde_json::json!({"a": [true, null, -2, 1.5, "x"], "b": 1})
        );
    }

    #[test]
    fn refuses_a_key_that_stands_twice() {
        let error = Node::parse(r#"{"a": {"Next": "A", "Next": "B"}}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the key `Next` stands twice in one object"),
            "{error}"
        );
    }
}
