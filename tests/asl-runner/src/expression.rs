//! One `JSONata` expression: checked when the machine is read, evaluated when a state runs.

use crate::scan::{FUNCTIONS, Mentions, scan};
use bumpalo::Bump;
use jsonata_rs::{ArrayFlags, JsonAta, Value as Answer};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Expressions select: one that nests deeper than this has lost its way.
const MAX_DEPTH: usize = 100;

/// Below this every whole number has a double of its own.
const EXACT_WHOLE_NUMBERS: f64 = 9_007_199_254_740_992.0;

/// The variables of a workflow, by name.
pub(crate) type Variables = BTreeMap<String, Value>;

/// An expression whose syntax and functions are known to be good.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    source: String,
    mentions: Mentions,
}

/// Why an expression gave no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EvaluationProblem {
    /// What AWS says of an expression that selected what is not there.
    #[error("returned nothing (undefined)")]
    Undefined,
    /// What `JSONata` says, or that the answer cannot stand in JSON.
    #[error("threw an error during evaluation: {0}")]
    Failed(String),
}

impl Expression {
    /// Takes what stands between `{%` and `%}`. The error says what is wrong with it.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let source = source.trim().to_owned();
        let mentions = scan(&source);
        for name in &mentions.calls {
            if matches!(name.as_str(), "now" | "millis" | "random" | "uuid") {
                return Err(format!(
                    "`${name}()` is refused: its answer differs from run to run, take it from a task's result"
                ));
            }
            if !FUNCTIONS.contains(&name.as_str()) {
                return Err(format!("`${name}()` is no function that this runner knows"));
            }
        }
        // The parser answers what it does not implement, such as `%`, with a panic.
        let parsed = catch_unwind(AssertUnwindSafe(|| {
            let arena = Bump::new();
            JsonAta::new(&source, &arena)
                .map(drop)
                .map_err(|error| error.to_string())
        }));
        match parsed {
            Ok(Ok(())) => Ok(Self { source, mentions }),
            Ok(Err(problem)) => Err(format!("`{source}` is not JSONata: {problem}")),
            Err(_) => Err(format!(
                "`{source}` uses what the JSONata evaluator does not implement"
            )),
        }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn mentions(&self) -> &Mentions {
        &self.mentions
    }

    /// The value, with `states` as `$states` and each variable under its name. There is no `$` at the top.
    pub(crate) fn evaluate(&self, states: &Value, variables: &Variables) -> Result<Value, EvaluationProblem> {
        // A panic in the evaluator becomes an error of the expression. Nothing outlives it: the arena is ours.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let arena = Bump::new();
            let jsonata = JsonAta::new(&self.source, &arena)
                .map_err(|error| EvaluationProblem::Failed(error.to_string()))?;
            for (name, value) in variables {
                if self.mentions.variables.contains(name) {
                    jsonata.assign_var(name, to_answer(&arena, value));
                }
            }
            jsonata.assign_var("states", to_answer(&arena, states));
            let answer = jsonata
                .evaluate_timeboxed(None, Some(MAX_DEPTH), None)
                .map_err(|error| EvaluationProblem::Failed(error.to_string()))?;
            to_json(answer)?.ok_or(EvaluationProblem::Undefined)
        }));
        answer.unwrap_or_else(|_| {
            Err(EvaluationProblem::Failed(
                "the JSONata evaluator does not implement this".to_owned(),
            ))
        })
    }
}

fn to_answer<'a>(arena: &'a Bump, value: &Value) -> &'a Answer<'a> {
    match value {
        Value::Null => Answer::null(arena),
        Value::Bool(bool) => Answer::bool(*bool),
        // Every JSON number has a nearest double; JSONata has no other numbers.
        Value::Number(number) => Answer::number(arena, number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Answer::string(arena, text),
        Value::Array(items) => {
            let array = Answer::array_with_capacity(arena, items.len(), ArrayFlags::empty());
            for item in items {
                array.push(to_answer(arena, item));
            }
            array
        }
        Value::Object(entries) => {
            let object = Answer::object_with_capacity(arena, entries.len());
            for (key, entry) in entries {
                object.insert(key, to_answer(arena, entry));
            }
            object
        }
    }
}

/// `None` for undefined, which vanishes from arrays and objects and is an error on its own.
fn to_json<'a>(answer: &'a Answer<'a>) -> Result<Option<Value>, EvaluationProblem> {
    Ok(Some(match answer {
        Answer::Undefined => return Ok(None),
        Answer::Null => Value::Null,
        Answer::Bool(bool) => Value::Bool(*bool),
        Answer::Number(number) => Value::Number(to_number(*number)?),
        Answer::String(text) => Value::String(text.as_str().to_owned()),
        Answer::Array(..) | Answer::Range(_) => {
            let mut items = Vec::with_capacity(answer.len());
            for item in answer.members() {
                items.extend(to_json(item)?);
            }
            Value::Array(items)
        }
        Answer::Object(entries) => {
            let mut object = Map::new();
            for (key, entry) in entries {
                if let Some(entry) = to_json(entry)? {
                    object.insert(key.as_str().to_owned(), entry);
                }
            }
            Value::Object(object)
        }
        Answer::Regex(_) | Answer::Lambda { .. } | Answer::NativeFn { .. } | Answer::Transformer { .. } => {
            return Err(EvaluationProblem::Failed(
                "the answer is a function or a pattern, not data".to_owned(),
            ));
        }
    }))
}

fn to_number(number: f64) -> Result<Number, EvaluationProblem> {
    if number.fract() == 0.0 && number.abs() < EXACT_WHOLE_NUMBERS {
        #[expect(clippy::cast_possible_truncation, reason = "the value is whole and fits")]
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number)
        .ok_or_else(|| EvaluationProblem::Failed(format!("the number {number} cannot stand in JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn evaluate(source: &str) -> Result<Value, EvaluationProblem> {
        let states = json!({
            "input": {
                "a": 1, "b": true, "s": "it's", "nothing": null, "tenth": 0.1, "big": 9_007_199_254_740_991_i64,
                "one": [1], "none": [], "many": [1, 2], "nested": [[1]], "objects": [{"n": 1}, {"n": 2}],
                "timestamp": "2026-11-24T16:00:00Z", "null": 7,
            },
            "result": {"Payload": {"id": "job-1", "when": null}},
            "errorOutput": {"Error": "RetryableError", "Cause": "throttled"},
            "context": {"Execution": {"Id": "arn:e", "Name": "e", "StartTime": "t", "Input": {"plan_id": "p"}},
                        "State": {"EnteredTime": "u"}},
        });
        let variables = Variables::from([
            ("batch".to_owned(), json!(3)),
            ("job_id".to_owned(), json!("job-1")),
            ("failure".to_owned(), json!({"error": "E", "cause": null})),
        ]);
        Expression::compile(source)
            .map_err(EvaluationProblem::Failed)?
            .evaluate(&states, &variables)
    }

    #[rstest]
    #[case("$states.input.a", json!(1))]
    #[case("$states.input", json!({
        "a": 1, "b": true, "s": "it's", "nothing": null, "tenth": 0.1, "big": 9_007_199_254_740_991_i64,
        "one": [1], "none": [], "many": [1, 2], "nested": [[1]], "objects": [{"n": 1}, {"n": 2}],
        "timestamp": "2026-11-24T16:00:00Z", "null": 7,
    }))]
    #[case("$states.input.one", json!([1]))]
    #[case("$states.input.none", json!([]))]
    #[case("$states.input.nested", json!([[1]]))]
    #[case("$states.input.nothing", json!(null))]
    #[case("$states.input.`null`", json!(7))]
    #[case("$states.input.big", json!(9_007_199_254_740_991_i64))]
    #[case("$states.input.objects[0].n", json!(1))]
    #[case("$states.input.objects.n", json!([1, 2]))]
    #[case("$states.result.Payload.id", json!("job-1"))]
    #[case("$states.result.Payload.when", json!(null))]
    #[case("$states.errorOutput.Error", json!("RetryableError"))]
    #[case("$states.context.Execution.Id", json!("arn:e"))]
    #[case("$states.context.Execution.Name", json!("e"))]
    #[case("$states.context.Execution.StartTime", json!("t"))]
    #[case("$states.context.Execution.Input.plan_id", json!("p"))]
    #[case("$states.context.State.EnteredTime", json!("u"))]
    #[case("$batch", json!(3))]
    #[case("$failure", json!({"error": "E", "cause": null}))]
    #[case("$batch + 1", json!(4))]
    #[case("$batch - 5", json!(-2))]
    #[case("$batch / 2 * 4 % 4", json!(2))]
    #[case("$states.input.tenth * 2", json!(0.2))]
    #[case("-$batch", json!(-3))]
    #[case("$batch = 3", json!(true))]
    #[case("$batch != 3", json!(false))]
    #[case("$batch < 3 or $batch >= 3 and $states.input.b", json!(true))]
    #[case("$job_id = 'job-2'", json!(false))]
    #[case("$states.input.missing = 'x'", json!(false))]
    #[case("$not($states.input.b)", json!(false))]
    #[case("$exists($states.input.missing)", json!(false))]
    #[case("$exists($states.input.nothing)", json!(true))]
    #[case("$exists($failure.cause) and $failure.cause != null", json!(false))]
    #[case("$states.input.missing ? 1 : 2", json!(2))]
    #[case("$batch > 0 ? 'more' : 'done'", json!("more"))]
    #[case("'job ' & $job_id & \" \" & $batch", json!("job job-1 3"))]
    #[case("{'id': $job_id, 'batch': $batch, 'gone': $states.input.missing, 'one': $states.input.one}",
           json!({"id": "job-1", "batch": 3, "one": [1]}))]
    #[case("[$batch, 'x', null]", json!([3, "x", null]))]
    #[case("{}", json!({}))]
    #[case("$count($states.input.many)", json!(2))]
    #[case("$toMillis($states.input.timestamp)", json!(1_795_536_000_000_i64))]
    #[case("[1..3]", json!([1, 2, 3]))]
    fn evaluates_what_selecting_expressions_need(#[case] source: &str, #[case] expected: Value) {
        assert_eq!(evaluate(source), Ok(expected));
    }

    #[rstest]
    #[case("$states.input.missing")]
    #[case("$states.result.Payload.id.deeper")]
    #[case("$unassigned")]
    #[case("$states.input.objects[7]")]
    #[case("unqualified")]
    #[case("$")]
    #[case("$$")]
    fn calls_undefined_an_error(#[case] source: &str) {
        assert_eq!(evaluate(source), Err(EvaluationProblem::Undefined));
    }

    #[rstest]
    #[case("$states.input.a > 'x'", "T2009")]
    #[case("$batch + $job_id", "T2002")]
    #[case("$number('x')", "D3030")]
    #[case("1 / 0", "inf cannot stand in JSON")]
    #[case("function($x) { $x }", "not data")]
    #[case("$error('refused')", "refused")]
    fn names_what_failed(#[case] source: &str, #[case] expected: &str) {
        let problem = evaluate(source).unwrap_err();
        assert!(problem.to_string().contains(expected), "{problem}");
    }

    #[rstest]
    #[case("1 +", "is not JSONata")]
    #[case("", "is not JSONata")]
    #[case("'open", "is not JSONata")]
    #[case("$states.%.x", "does not implement")]
    #[case("$now()", "differs from run to run")]
    #[case("$uuid()", "differs from run to run")]
    #[case("$frobnicate(1)", "no function")]
    fn refuses_what_it_cannot_evaluate(#[case] source: &str, #[case] expected: &str) {
        let problem = Expression::compile(source).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }

    #[test]
    fn ends_an_endless_recursion_with_an_error() {
        let problem = evaluate("($f := function($n) { 1 + $f($n) }; $f(1))").unwrap_err();
        assert!(problem.to_string().contains("U1001"), "{problem}");
    }
}
