//! The macros of Syncline: entry points only.
//!
//! All generated code goes through `::syncline::__macro`, by full path, so that an application needs one dependency
//! and may shadow any name. Their documentation stands where the runtime re-exports them: examples build there.

mod codec;
mod function;
mod names;
mod object;
mod options;
mod signature;
mod table;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use signature::Kind;

/// A function that reads: live for every client that watches it.
#[proc_macro_attribute]
pub fn query(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Query, options.into(), item.into()).into()
}

/// A function that reads and writes in one transaction.
#[proc_macro_attribute]
pub fn mutation(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Mutation, options.into(), item.into()).into()
}

/// A function outside of transactions: it calls other services, queries and mutations.
#[proc_macro_attribute]
pub fn action(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(Kind::Action, options.into(), item.into()).into()
}

/// Makes a struct the document of a table, with its indexes and a builder for patches.
#[proc_macro_derive(Table, attributes(table, field))]
pub fn derive_table(item: TokenStream) -> TokenStream {
    table::expand(parse_macro_input!(item as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or an enum usable as a field, an argument or a result.
#[proc_macro_derive(Object, attributes(object, field, variant))]
pub fn derive_object(item: TokenStream) -> TokenStream {
    object::expand(parse_macro_input!(item as DeriveInput)).unwrap_or_else(syn::Error::into_compile_error).into()
}
