//! The engine against its promises: transactions, conflicts, durability, schema changes, faults, and a model.

mod transactions;
mod world;
