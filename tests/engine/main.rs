//! The engine against its promises: transactions, conflicts, durability, schema changes, faults, and a model.

mod conflicts;
mod durability;
mod environment;
mod faults;
mod limits;
mod memory;
mod model;
mod outcomes;
mod schema;
mod transactions;
mod workload;
mod world;
