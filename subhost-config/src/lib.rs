//! Reads configuration files that are written as bash assignments. They are **evaluated, never executed**: no
//! process is started, nothing but the file is read.
//!
//! What is accepted gives exactly the variables that bash 5.2 gives for the same file. What is not is refused
//! with its place, a stable [`code`] and a hint, and all refusals of a file are found in one go.
//!
//! The variables of any sourced file:
//!
//! ```
//! use subhost_config::{Evaluator, Source, parse};
//!
//! let source = Source::new("config", "PATHS=( '/srv/a b' /srv/c )\nPATHS+=(\"$HERE/d\")\n");
//! let (script, refused) = parse(&source);
//! let (variables, warnings) = Evaluator::new().run(&script);
//! assert!(refused.is_empty());
//! assert_eq!(warnings[0].message, "HERE is not set above; it is empty here");
//! assert_eq!(variables.get("PATHS").unwrap().value.elements(), [&b"/srv/a b"[..], b"/srv/c", b"/d"]);
//! ```
//!
//! The settings of a subhost, with everything that is wrong with them:
//!
//! ```
//! use subhost_config::schema::{Environment, SubhostConfig};
//! use subhost_config::{Evaluator, Source, parse, render};
//!
//! let text = "DISKS=( vda:1:/disks/web.raw )\nBRIDGES=( homenet:07:a7:dd:b4:02:f2 )\n";
//! let source = Source::new("web/config", text);
//! let (script, mut diagnostics) = parse(&source);
//! let (variables, more) = Evaluator::new().run(&script);
//! diagnostics.extend(more);
//! let (config, more) = SubhostConfig::from_variables(&variables, &Environment::empty());
//! diagnostics.extend(more);
//!
//! assert!(config.is_none(), "an error in the list, so there is no configuration");
//! let shown: String = diagnostics.iter().map(|it| render(it, variables.sources(), false)).collect();
//! assert_eq!(shown, "\
//! web/config:2:11: error[E1003]: BRIDGES: `07:a7:dd:b4:02:f2` is a multicast address, and no address of a card
//! 2 | BRIDGES=( homenet:07:a7:dd:b4:02:f2 )
//!   |           ^^^^^^^^^^^^^^^^^^^^^^^^^
//!   = hint: the first octet must be even, as in 06:a7:dd:b4:02:f2
//! ");
//! ```
//!
//! # The language
//!
//! Nearly all of bash that only computes. What would have to be executed is refused, and so is what is no fact of the
//! file; `docs/config-language.md` of the project says what, why, and what to write instead. By default an
//! [`Evaluator`] looks at no file and knows nothing of the machine; [`IncludePolicy`], [`FilePolicy`] and [`Host`]
//! allow more.
//!
//! Evaluation ends: a text has a size limit, words and nesting too, and a run a [memory](Evaluator::memory_budget) and
//! a [step budget](Evaluator::step_budget).
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod arith;
mod assoc;
mod ast;
pub mod code;
mod condition;
mod diagnostic;
mod eval;
mod json;
mod letters;
mod lex;
mod load;
mod marked;
pub mod overlay_boot;
mod parse;
mod pattern;
mod printf;
mod quote;
#[cfg(test)]
mod real_bash;
mod regex;
mod render;
pub mod schema;
mod shell_variable;
mod span;
mod steps;
mod value;
mod vars;
mod visible;
#[cfg(test)]
mod witness;

pub use assoc::Assoc;
pub use ast::Script;
pub use diagnostic::{Diagnostic, Severity};
pub use eval::{Evaluator, FilePolicy, Host, IncludePolicy};
pub use json::render_json;
pub use load::{LoadError, LoadedConfig, MAX_FILE_BYTES, Trust, load, load_owned_by};
pub use parse::{MAX_SOURCE_BYTES, parse};
pub use quote::quote;
pub use render::render;
pub use schema::SubhostConfig;
pub use shell_variable::is_special_to_bash;
pub use span::{Location, Source, Sources, Span};
pub use value::Value;
pub use vars::{Attributes, Variable, Variables};
pub use visible::visible;

/// The examples of the README, which are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
