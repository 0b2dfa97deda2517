//! Runs the state machines of Holdfast in process, for tests.
//!
//! A test reads the real ASL file with [`StateMachine::parse`] and runs it with [`StateMachine::start`] against an
//! [`Environment`] of its own, which does the tasks and keeps the time. What comes back, an [`Execution`], tells how
//! it ended, what happened on the way and what AWS would count.
//!
//! Only the `JSONata` query language is read. Expressions are evaluated by a real `JSONata` evaluator; a panic in it
//! becomes an error of the expression.

pub mod conventions;

mod definition;
mod environment;
mod execution;
mod expression;
mod node;
mod parse;
mod place;
mod run;
mod scan;
mod template;

pub use definition::{StateMachine, StateType};
pub use environment::{Environment, TaskError, TaskRequest};
pub use execution::{Event, EventKind, Execution, Options, Status};
pub use parse::substitution_names;
pub use place::{DefinitionError, Place};
