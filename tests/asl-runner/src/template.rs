//! JSON in which strings may be expressions: `Arguments`, `Output`, `Assign` and the like.

use crate::expression::{EvaluationProblem, Expression, Variables};
use crate::node::Node;
use crate::place::{DefinitionError, Place};
use serde_json::{Map, Value};

/// Which parts of `$states` a field may read. `input` and `context` are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Before the state's work is done.
    Input,
    /// After it is done: `$states.result` too.
    Result,
    /// After it has failed: `$states.errorOutput` too.
    ErrorOutput,
}

/// A JSON value with expressions in it.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    Constant(Value),
    Expression(Expression),
    Array(Vec<Template>),
    Object(Vec<(String, Template)>),
}

/// An expression that gave no value, and where in the field it stands.
#[derive(Debug)]
pub(crate) struct TemplateProblem {
    /// The path within the field, as in `/Payload/job_id`; empty for the field itself.
    pub(crate) path: String,
    pub(crate) expression: String,
    pub(crate) problem: EvaluationProblem,
}

impl Template {
    pub(crate) fn parse(node: &Node, place: &Place, reads: Reads) -> Result<Self, DefinitionError> {
        match node {
            Node::String(text) => Self::parse_text(text, place, reads),
            Node::Array(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(index, item)| Self::parse(item, &place.item(index), reads));
                Ok(Self::Array(items.collect::<Result<_, _>>()?))
            }
            Node::Object(entries) => {
                let entries = entries.iter();
                let entries = entries
                    .map(|(key, node)| Ok((key.clone(), Self::parse(node, &place.field(key), reads)?)));
                Ok(Self::Object(entries.collect::<Result<_, _>>()?))
            }
            Node::Null | Node::Bool(_) | Node::Number(_) => Ok(Self::Constant(node.to_value())),
        }
    }

    fn parse_text(text: &str, place: &Place, reads: Reads) -> Result<Self, DefinitionError> {
        let opened = text.trim_start().starts_with("{%");
        let closed = text.trim_end().ends_with("%}");
        if !opened && !closed {
            return Ok(Self::Constant(Value::String(text.to_owned())));
        }
        let source = text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}"));
        let source = source.ok_or_else(|| {
            place.error(format!(
                "`{text}` is half an expression: it must start with {{% and end with %}}, without spaces around"
            ))
        })?;
        let expression = Expression::compile(source).map_err(|problem| place.error(problem))?;
        for field in &expression.mentions().states_fields {
            let there = match field.as_str() {
                "input" | "context" => true,
                "result" => reads == Reads::Result,
                "errorOutput" => reads == Reads::ErrorOutput,
                _ => false,
            };
            if !there {
                return Err(place.error(format!("`$states.{field}` is not there in this field")));
            }
        }
        Ok(Self::Expression(expression))
    }

    pub(crate) fn evaluate(&self, states: &Value, variables: &Variables) -> Result<Value, TemplateProblem> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Expression(expression) => {
                expression
                    .evaluate(states, variables)
                    .map_err(|problem| TemplateProblem {
                        path: String::new(),
                        expression: expression.source().to_owned(),
                        problem,
                    })
            }
            Self::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let value = item.evaluate(states, variables);
                    values.push(value.map_err(|problem| problem.below(&index.to_string()))?);
                }
                Ok(Value::Array(values))
            }
            Self::Object(entries) => {
                let mut values = Map::new();
                for (key, entry) in entries {
                    let value = entry.evaluate(states, variables);
                    values.insert(key.clone(), value.map_err(|problem| problem.below(key))?);
                }
                Ok(Value::Object(values))
            }
        }
    }

    /// The workflow's variables that it reads, each with the path of the expression within the field.
    pub(crate) fn variables(&self) -> Vec<&str> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Expression(expression) => {
                let names = expression.mentions().variables.iter();
                names.map(String::as_str).collect()
            }
            Self::Array(items) => items.iter().flat_map(Self::variables).collect(),
            Self::Object(entries) => entries.iter().flat_map(|(_, entry)| entry.variables()).collect(),
        }
    }
}

impl TemplateProblem {
    fn below(mut self, key: &str) -> Self {
        self.path = format!("/{key}{}", self.path);
        self
    }
}
