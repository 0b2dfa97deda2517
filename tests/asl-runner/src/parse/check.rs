//! What holds between states: references, ways in, ways out, names and the scopes of variables.

use crate::definition::{Processor, State, Work};
use crate::place::{DefinitionError, Place};
use crate::template::Template;
use std::collections::BTreeSet;

type Names = BTreeSet<String>;

pub(super) fn check(processor: &Processor, place: &Place) -> Result<(), DefinitionError> {
    check_processor(processor, place, &Names::new(), &mut Names::new())
}

/// `outer` are the variables of the scopes around, `taken` all names of states so far.
fn check_processor(
    processor: &Processor,
    place: &Place,
    outer: &Names,
    taken: &mut Names,
) -> Result<(), DefinitionError> {
    for name in processor.states.keys() {
        if !taken.insert(name.clone()) {
            return Err(Place::state(name).error("the name is taken: it must be unique in the whole machine"));
        }
    }
    check_references(processor, place)?;
    check_reachable(processor)?;
    check_ends(processor)?;
    let visible = check_variables(processor, outer)?;
    for (name, state) in &processor.states {
        let place = Place::state(name);
        match &state.work {
            Work::Map(map) => {
                let none = Names::new();
                let outer = if map.distributed { &none } else { &visible };
                check_processor(&map.processor, &place.field("ItemProcessor"), outer, taken)?;
            }
            Work::Parallel(parallel) => {
                for (index, branch) in parallel.branches.iter().enumerate() {
                    check_processor(branch, &place.field("Branches").item(index), &visible, taken)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_references(processor: &Processor, place: &Place) -> Result<(), DefinitionError> {
    if !processor.states.contains_key(&processor.start_at) {
        let problem = format!("there is no state {}", processor.start_at);
        return Err(place.field("StartAt").error(problem));
    }
    for (name, state) in &processor.states {
        for (field, target) in state.targets() {
            if !processor.states.contains_key(target) {
                let problem = format!("there is no state {target} beside this one");
                return Err(Place::state(name).field(&field).error(problem));
            }
        }
    }
    Ok(())
}

fn check_reachable(processor: &Processor) -> Result<(), DefinitionError> {
    let mut reached = Names::new();
    let mut open = vec![processor.start_at.as_str()];
    while let Some(name) = open.pop() {
        if reached.insert(name.to_owned()) {
            let state = processor.states.get(name);
            open.extend(
                state
                    .into_iter()
                    .flat_map(State::targets)
                    .map(|(_, target)| target),
            );
        }
    }
    match processor.states.keys().find(|name| !reached.contains(*name)) {
        Some(name) => Err(Place::state(name).error("cannot be reached from StartAt")),
        None => Ok(()),
    }
}

fn check_ends(processor: &Processor) -> Result<(), DefinitionError> {
    let ends = |(_, state): &(&String, &State)| state.ends();
    let mut ending: Names = processor
        .states
        .iter()
        .filter(ends)
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        let before = ending.len();
        for (name, state) in &processor.states {
            if state.targets().iter().any(|(_, target)| ending.contains(*target)) {
                ending.insert(name.clone());
            }
        }
        if ending.len() == before {
            break;
        }
    }
    match processor.states.keys().find(|name| !ending.contains(*name)) {
        Some(name) => {
            Err(Place::state(name).error("no state that ends the execution can be reached from here"))
        }
        None => Ok(()),
    }
}

/// Returns the variables that the processor's states can see.
fn check_variables(processor: &Processor, outer: &Names) -> Result<Names, DefinitionError> {
    let mut visible = outer.clone();
    for (name, state) in &processor.states {
        for (path, template) in state.assigns() {
            let Template::Object(entries) = template else {
                continue;
            };
            for (variable, _) in entries {
                if outer.contains(variable) {
                    let place = Place::state(name).field(&path).field(variable);
                    return Err(place.error("a scope around this one assigns the same name"));
                }
                visible.insert(variable.clone());
            }
        }
    }
    for (name, state) in &processor.states {
        for (path, template) in state.templates() {
            if let Some(variable) = template
                .variables()
                .iter()
                .find(|variable| !visible.contains(**variable))
            {
                let problem = format!("reads ${variable}, which no state of this scope assigns");
                return Err(Place::state(name).field(&path).error(problem));
            }
        }
    }
    Ok(visible)
}
