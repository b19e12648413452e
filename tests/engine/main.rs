//! The engine against its promises: transactions, conflicts, durability, schema changes, faults, and a model.

mod conflicts;
mod durability;
mod model;
mod transactions;
mod world;
