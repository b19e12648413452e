//! The public face of the crate: applications written with its macros, over a transaction that is a map.

// As an application's generated code names the crate.
extern crate syncline_functions as syncline;

mod app;
mod args;
mod calls;
mod context;
mod db;
mod errors;
mod guards;
mod memory;
mod outgoing;
mod pages;
mod rules;
mod types;
mod typescript;
mod users;
