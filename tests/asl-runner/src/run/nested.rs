//! Map and Parallel: states within a state.

use super::failure::{self, Failure, Interrupt};
use super::{Record, Run, Scope, Visit, check_size};
use crate::definition::{MapWork, ParallelWork};
use crate::environment::Environment;
use crate::execution::{EventKind, Status};
use crate::template::Template;
use serde_json::{Value, json};

impl<E: Environment> Run<'_, E> {
    pub(super) async fn run_map(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        map: &MapWork,
    ) -> Result<Value, Interrupt> {
        let items = self.map_items(visit, scope, map)?;
        // Iterations run one after the other whatever it says, but what it says must be a number.
        if let Some(template) = &map.max_concurrency {
            self.whole(visit, scope, "MaxConcurrency", template, 0, u64::MAX)?;
        }
        let started = json!({"Length": items.len()});
        self.add_event(EventKind::MapStateStarted, Some(visit.name), started);
        let result = if map.distributed {
            self.run_children(visit, scope, map, items).await
        } else {
            self.run_iterations(visit, scope, map, items).await
        };
        match &result {
            Ok(_) => self.add_event(EventKind::MapStateSucceeded, Some(visit.name), Value::Null),
            Err(Interrupt::Failed(failure)) => {
                self.add_event(EventKind::MapStateFailed, Some(visit.name), failure.to_value());
            }
            Err(_) => {}
        }
        result
    }

    fn map_items(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        map: &MapWork,
    ) -> Result<Vec<Value>, Interrupt> {
        let items = match &map.items {
            Some(template) => self.evaluate(visit, scope, "Items", template, None)?,
            None => visit.input.clone(),
        };
        match items {
            Value::Array(items) => Ok(items),
            other => Err(self.wrong_value(visit, "Items", "an array", &other)),
        }
    }

    /// What the iteration for one item starts with, and its entry in the context.
    fn item_input(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        selector: Option<&Template>,
        index: usize,
        item: Value,
    ) -> Result<(Value, Value), Interrupt> {
        let map_item = json!({"Index": index, "Value": item});
        let Some(template) = selector else {
            return Ok((item, map_item));
        };
        let mut context = visit.context.clone();
        if let Value::Object(entries) = &mut context {
            entries.insert("Map".to_owned(), json!({"Item": map_item}));
        }
        let visit = Visit { context, ..*visit };
        let input = self.evaluate(&visit, scope, "ItemSelector", template, None)?;
        check_size(visit.name, "an item", &input)?;
        Ok((input, map_item))
    }

    /// The first iteration that fails fails the Map with its own error.
    async fn run_iterations(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        map: &MapWork,
        items: Vec<Value>,
    ) -> Result<Value, Interrupt> {
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let (input, map_item) = self.item_input(visit, scope, map.item_selector.as_ref(), index, item)?;
            let iteration = json!({"Index": index});
            self.add_event(
                EventKind::MapIterationStarted,
                Some(visit.name),
                iteration.clone(),
            );
            let inner = Scope {
                variables: scope.variables.clone(),
                map_item: Some(map_item),
            };
            let kind = match self.run_processor(&map.processor, input, inner).await {
                Ok(result) => {
                    results.push(result);
                    EventKind::MapIterationSucceeded
                }
                Err(Interrupt::Failed(failure)) => {
                    self.add_event(EventKind::MapIterationFailed, Some(visit.name), iteration);
                    return Err(failure.into());
                }
                Err(interrupt) => return Err(interrupt),
            };
            self.add_event(kind, Some(visit.name), iteration);
        }
        Ok(Value::Array(results))
    }

    /// Each item is an execution of its own. The outputs of those that succeeded are the result, in order.
    async fn run_children(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        map: &MapWork,
        items: Vec<Value>,
    ) -> Result<Value, Interrupt> {
        let percentage = match &map.tolerated_failure_percentage {
            Some(template) => {
                Some(self.whole(visit, scope, "ToleratedFailurePercentage", template, 0, 100)?)
            }
            None => None,
        };
        let count = match &map.tolerated_failure_count {
            Some(template) => {
                Some(self.whole(visit, scope, "ToleratedFailureCount", template, 0, u64::MAX)?)
            }
            None => None,
        };
        self.add_event(EventKind::MapRunStarted, Some(visit.name), Value::Null);
        let total = items.len() as u64;
        let mut failed: u64 = 0;
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let (input, _) = self.item_input(visit, scope, map.item_selector.as_ref(), index, item)?;
            match self.run_child(visit.name, index, map, input).await? {
                Some(result) => results.push(result),
                None => failed += 1,
            }
            let over_percentage = percentage.map(|percentage| failed * 100 > percentage * total);
            let over_count = count.map(|count| failed > count);
            let over = match (over_percentage, over_count) {
                (None, None) => failed > 0,
                (percentage, count) => percentage.unwrap_or(false) || count.unwrap_or(false),
            };
            if over {
                let cause = format!(
                    "{failed} of {total} items failed, more than the state '{}' tolerates.",
                    visit.name
                );
                let failure = Failure::new(failure::EXCEED_TOLERATED_FAILURE_THRESHOLD, cause);
                self.add_event(EventKind::MapRunFailed, Some(visit.name), failure.to_value());
                return Err(failure.into());
            }
        }
        self.add_event(EventKind::MapRunSucceeded, Some(visit.name), Value::Null);
        Ok(Value::Array(results))
    }

    /// Runs one child. `None` if it failed.
    async fn run_child(
        &mut self,
        state: &str,
        index: usize,
        map: &MapWork,
        input: Value,
    ) -> Result<Option<Value>, Interrupt> {
        let before = self.transitions;
        // On AWS the last part is a UUID.
        let arn = format!("{}/{state}:{index}", self.record.arn);
        let child = Record::new(&arn, &index.to_string(), self.environment.now(), &input);
        let parent = std::mem::replace(&mut self.record, child);
        let status = self.execute(&map.processor, input).await;
        let child = std::mem::replace(&mut self.record, parent);
        let child = child.finish(status.clone(), self.transitions - before);
        self.record.waited_seconds += child.waited_seconds;
        self.record.children.push(child);
        match status {
            Status::Succeeded(output) => Ok(Some(output)),
            Status::Failed { .. } => Ok(None),
            Status::TimedOut => Err(Interrupt::TimedOut),
            Status::Aborted(reason) => Err(Interrupt::Aborted(reason)),
            Status::GivenUp => Err(Interrupt::GivenUp),
        }
    }

    /// The branches' outputs in their order. The first branch that fails fails the state with its own error.
    pub(super) async fn run_parallel(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        parallel: &ParallelWork,
    ) -> Result<Value, Interrupt> {
        let input = match &parallel.arguments {
            Some(template) => self.evaluate(visit, scope, "Arguments", template, None)?,
            None => visit.input.clone(),
        };
        check_size(visit.name, "arguments", &input)?;
        self.add_event(EventKind::ParallelStateStarted, Some(visit.name), Value::Null);
        let mut results = Vec::with_capacity(parallel.branches.len());
        for branch in &parallel.branches {
            let inner = Scope {
                variables: scope.variables.clone(),
                map_item: scope.map_item.clone(),
            };
            match self.run_processor(branch, input.clone(), inner).await {
                Ok(result) => results.push(result),
                Err(Interrupt::Failed(failure)) => {
                    self.add_event(
                        EventKind::ParallelStateFailed,
                        Some(visit.name),
                        failure.to_value(),
                    );
                    return Err(failure.into());
                }
                Err(interrupt) => return Err(interrupt),
            }
        }
        self.add_event(EventKind::ParallelStateSucceeded, Some(visit.name), Value::Null);
        Ok(Value::Array(results))
    }
}
