//! One state, by its type.

use super::fields::Fields;
use super::{MAX_SECONDS, read_processor};
use crate::definition::{
    Catcher, ChoiceWork, FailWork, MapWork, ParallelWork, Retrier, Rule, State, TaskWork, Transition,
    WaitWork, Work,
};
use crate::node::Node;
use crate::place::{DefinitionError, Place};
use crate::scan::FUNCTIONS;
use crate::template::{Reads, Template};

const COMMON: [&str; 3] = ["Type", "Comment", "QueryLanguage"];

pub(super) fn read_state(name: &str, node: &Node) -> Result<State, DefinitionError> {
    let place = Place::state(name);
    let state_type = node
        .get("Type")
        .ok_or_else(|| place.field("Type").error("is missing"))?;
    let own: &[&str] = match state_type.text() {
        Some("Task") => &[
            "Resource",
            "Arguments",
            "TimeoutSeconds",
            "Assign",
            "Output",
            "Retry",
            "Catch",
            "Next",
            "End",
        ],
        Some("Choice") => &["Choices", "Default", "Assign", "Output"],
        Some("Wait") => &["Seconds", "Timestamp", "Assign", "Output", "Next", "End"],
        Some("Pass") => &["Assign", "Output", "Next", "End"],
        Some("Succeed") => &["Output"],
        Some("Fail") => &["Error", "Cause"],
        Some("Map") => &[
            "Items",
            "ItemSelector",
            "MaxConcurrency",
            "ToleratedFailurePercentage",
            "ToleratedFailureCount",
            "Label",
            "ItemProcessor",
            "Assign",
            "Output",
            "Retry",
            "Catch",
            "Next",
            "End",
        ],
        Some("Parallel") => &[
            "Branches",
            "Arguments",
            "Assign",
            "Output",
            "Retry",
            "Catch",
            "Next",
            "End",
        ],
        _ => {
            return Err(place
                .field("Type")
                .error("must be one of Task, Choice, Wait, Pass, Succeed, Fail, Map and Parallel"));
        }
    };
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let fields = Fields::of(node, place.clone(), &known)?;
    fields.text("Comment")?;
    if fields
        .text("QueryLanguage")?
        .is_some_and(|language| language != "JSONata")
    {
        return Err(place.field("QueryLanguage").error("must be JSONata"));
    }
    let work = read_work(&fields)?;
    let reads = match work {
        Work::Task(_) | Work::Map(_) | Work::Parallel(_) => Reads::Result,
        _ => Reads::Input,
    };
    Ok(State {
        assign: read_assign(&fields, reads)?,
        output: fields.template("Output", reads)?,
        retry: read_retry(&fields)?,
        catch: read_catch(&fields)?,
        transition: read_transition(&fields, &work)?,
        work,
    })
}

fn read_work(fields: &Fields<'_>) -> Result<Work, DefinitionError> {
    Ok(match fields.required_text("Type")? {
        "Task" => Work::Task(TaskWork {
            resource: fields.required_text("Resource")?.to_owned(),
            arguments: fields.template("Arguments", Reads::Input)?,
            timeout_seconds: fields.number_template("TimeoutSeconds", 1, MAX_SECONDS)?,
        }),
        "Choice" => Work::Choice(read_choice(fields)?),
        "Wait" => Work::Wait(read_wait(fields)?),
        "Pass" => Work::Pass,
        "Succeed" => Work::Succeed,
        "Map" => Work::Map(Box::new(read_map(fields)?)),
        "Parallel" => Work::Parallel(read_parallel(fields)?),
        _ => Work::Fail(FailWork {
            error: read_text_template(fields, "Error")?,
            cause: read_text_template(fields, "Cause")?,
        }),
    })
}

fn read_text_template(fields: &Fields<'_>, key: &str) -> Result<Option<Template>, DefinitionError> {
    fields.text(key)?;
    fields.template(key, Reads::Input)
}

fn read_choice(fields: &Fields<'_>) -> Result<ChoiceWork, DefinitionError> {
    fields.required("Choices")?;
    let mut rules = Vec::new();
    for (index, node) in fields.array("Choices")?.iter().enumerate() {
        let place = fields.place.field("Choices").item(index);
        let rule = Fields::of(
            node,
            place.clone(),
            &["Comment", "Condition", "Assign", "Output", "Next"],
        )?;
        rule.text("Comment")?;
        let condition = Template::parse(
            rule.required("Condition")?,
            &place.field("Condition"),
            Reads::Input,
        )?;
        if !matches!(
            condition,
            Template::Expression(_) | Template::Constant(serde_json::Value::Bool(_))
        ) {
            return Err(place
                .field("Condition")
                .error("must be an expression or a boolean"));
        }
        rules.push(Rule {
            condition,
            assign: read_assign(&rule, Reads::Input)?,
            output: rule.template("Output", Reads::Input)?,
            next: rule.required_text("Next")?.to_owned(),
        });
    }
    Ok(ChoiceWork {
        rules,
        default: fields.text("Default")?.map(str::to_owned),
    })
}

fn read_wait(fields: &Fields<'_>) -> Result<WaitWork, DefinitionError> {
    let seconds = fields.number_template("Seconds", 0, MAX_SECONDS)?;
    let timestamp = read_text_template(fields, "Timestamp")?;
    match (seconds, timestamp) {
        (Some(seconds), None) => Ok(WaitWork::Seconds(seconds)),
        (None, Some(timestamp)) => Ok(WaitWork::Timestamp(timestamp)),
        _ => Err(fields.place.error("must have either Seconds or Timestamp")),
    }
}

fn read_map(fields: &Fields<'_>) -> Result<MapWork, DefinitionError> {
    let place = fields.place.field("ItemProcessor");
    let node = fields.required("ItemProcessor")?;
    let processor = Fields::of(
        node,
        place.clone(),
        &["Comment", "ProcessorConfig", "StartAt", "States"],
    )?;
    let mut distributed = false;
    if let Some(config) = processor.node("ProcessorConfig") {
        let config = Fields::of(config, place.field("ProcessorConfig"), &["Mode", "ExecutionType"])?;
        distributed = match config.text("Mode")? {
            None | Some("INLINE") => false,
            Some("DISTRIBUTED") => true,
            Some(_) => return Err(config.place.field("Mode").error("must be INLINE or DISTRIBUTED")),
        };
        let execution_type = config.text("ExecutionType")?;
        let place = config.place.field("ExecutionType");
        match execution_type {
            Some("STANDARD" | "EXPRESS") if distributed => {}
            None if !distributed => {}
            Some(_) if !distributed => return Err(place.error("belongs to mode DISTRIBUTED")),
            _ => return Err(place.error("must be STANDARD or EXPRESS")),
        }
    }
    for key in ["ToleratedFailurePercentage", "ToleratedFailureCount", "Label"] {
        if !distributed && fields.node(key).is_some() {
            return Err(fields.place.field(key).error("belongs to mode DISTRIBUTED"));
        }
    }
    fields.text("Label")?;
    let items = fields.template("Items", Reads::Input)?;
    if let Some(Template::Constant(_) | Template::Object(_)) = items {
        return Err(fields
            .place
            .field("Items")
            .error("must be an array or an expression"));
    }
    Ok(MapWork {
        items,
        item_selector: fields.template("ItemSelector", Reads::Input)?,
        max_concurrency: fields.number_template("MaxConcurrency", 0, MAX_SECONDS)?,
        tolerated_failure_percentage: fields.number_template("ToleratedFailurePercentage", 0, 100)?,
        tolerated_failure_count: fields.number_template("ToleratedFailureCount", 0, MAX_SECONDS)?,
        distributed,
        processor: read_processor(&processor)?,
    })
}

fn read_parallel(fields: &Fields<'_>) -> Result<ParallelWork, DefinitionError> {
    fields.required("Branches")?;
    let mut branches = Vec::new();
    for (index, node) in fields.array("Branches")?.iter().enumerate() {
        let place = fields.place.field("Branches").item(index);
        branches.push(read_processor(&Fields::of(
            node,
            place,
            &["Comment", "StartAt", "States"],
        )?)?);
    }
    Ok(ParallelWork {
        arguments: fields.template("Arguments", Reads::Input)?,
        branches,
    })
}

fn read_assign(fields: &Fields<'_>, reads: Reads) -> Result<Option<Template>, DefinitionError> {
    let Some(node) = fields.node("Assign") else {
        return Ok(None);
    };
    let place = fields.place.field("Assign");
    let Some(entries) = node.entries() else {
        return Err(place.error(format!("must be an object, is {}", node.kind())));
    };
    for (name, _) in entries {
        let mut characters = name.chars();
        let starts = characters
            .next()
            .is_some_and(|first| first.is_alphabetic() || first == '_');
        let goes_on = characters.all(|character| character.is_alphanumeric() || character == '_');
        if !starts || !goes_on || name.chars().count() > 80 {
            return Err(place.field(name).error("is no name for a variable"));
        }
        if name == "states" {
            return Err(place.field(name).error("is reserved"));
        }
        // Step Functions would take it, and hide the function. Here the function would hide the variable.
        if FUNCTIONS.contains(&name.as_str()) {
            return Err(place
                .field(name)
                .error("is a function of JSONata: take another name"));
        }
    }
    Template::parse(node, &place, reads).map(Some)
}

fn read_transition(fields: &Fields<'_>, work: &Work) -> Result<Transition, DefinitionError> {
    if matches!(work, Work::Choice(_) | Work::Succeed | Work::Fail(_)) {
        return Ok(Transition::End);
    }
    let next = fields.text("Next")?;
    match (next, fields.node("End")) {
        (Some(next), None) => Ok(Transition::Next(next.to_owned())),
        (None, Some(Node::Bool(true))) => Ok(Transition::End),
        (None, Some(_)) => Err(fields.place.field("End").error("must be true")),
        (Some(_), Some(_)) => Err(fields.place.error("must have Next or End, has both")),
        (None, None) => Err(fields.place.error("must have Next or End, has neither")),
    }
}

fn read_retry(fields: &Fields<'_>) -> Result<Vec<Retrier>, DefinitionError> {
    let nodes = fields.array("Retry")?;
    let mut retriers = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let place = fields.place.field("Retry").item(index);
        let known = [
            "Comment",
            "ErrorEquals",
            "IntervalSeconds",
            "MaxAttempts",
            "BackoffRate",
            "MaxDelaySeconds",
            "JitterStrategy",
        ];
        let retrier = Fields::of(node, place.clone(), &known)?;
        let error_equals = read_error_equals(&retrier, index + 1 == nodes.len())?;
        let interval = retrier
            .whole("IntervalSeconds", 1, MAX_SECONDS)?
            .map_or(1.0, f64::from);
        let max_delay = retrier.whole("MaxDelaySeconds", 1, 31_622_399)?.map(f64::from);
        if max_delay.is_some_and(|longest| longest <= interval) {
            return Err(place
                .field("MaxDelaySeconds")
                .error("must be more than IntervalSeconds"));
        }
        let full_jitter = match retrier.text("JitterStrategy")? {
            None | Some("NONE") => false,
            Some("FULL") => true,
            Some(_) => return Err(place.field("JitterStrategy").error("must be FULL or NONE")),
        };
        retriers.push(Retrier {
            error_equals,
            interval_seconds: interval,
            max_attempts: retrier.whole("MaxAttempts", 0, MAX_SECONDS)?.unwrap_or(3),
            backoff_rate: retrier.number("BackoffRate", 1.0, 1e9)?.unwrap_or(2.0),
            max_delay_seconds: max_delay,
            full_jitter,
        });
    }
    Ok(retriers)
}

fn read_catch(fields: &Fields<'_>) -> Result<Vec<Catcher>, DefinitionError> {
    let nodes = fields.array("Catch")?;
    let mut catchers = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let place = fields.place.field("Catch").item(index);
        let catcher = Fields::of(
            node,
            place,
            &["Comment", "ErrorEquals", "Assign", "Output", "Next"],
        )?;
        catchers.push(Catcher {
            error_equals: read_error_equals(&catcher, index + 1 == nodes.len())?,
            assign: read_assign(&catcher, Reads::ErrorOutput)?,
            output: catcher.template("Output", Reads::ErrorOutput)?,
            next: catcher.required_text("Next")?.to_owned(),
        });
    }
    Ok(catchers)
}

fn read_error_equals(fields: &Fields<'_>, last: bool) -> Result<Vec<String>, DefinitionError> {
    let names = fields.texts("ErrorEquals")?;
    if names.iter().any(|name| name == "States.ALL") && !(last && names.len() == 1) {
        let place = fields.place.field("ErrorEquals");
        return Err(place.error("States.ALL must stand alone and in the last entry"));
    }
    Ok(names)
}
