//! Reads bash-syntax configuration files as data: evaluated, never executed.
#![forbid(unsafe_code)]

mod arith;
pub mod ast;
pub mod code;
mod diagnostic;
mod eval;
mod expand;
mod lex;
mod parse;
mod quote;
mod render;
mod shell_variable;
mod span;
mod value;
mod vars;
mod visible;

pub use diagnostic::{Diagnostic, Severity};
pub use eval::Evaluator;
pub use parse::{MAX_SOURCE_BYTES, parse};
pub use quote::quote;
pub use render::render;
pub use span::{Location, Source, Span};
pub use value::Value;
pub use vars::{Attributes, Variable, Variables};
pub use visible::visible;
