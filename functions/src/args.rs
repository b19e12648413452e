//! The arguments of a call: from the wire straight into the function's parameters, with the exact finding when they
//! do not fit.
//!
//! Source of the order of the checks and of the texts: `tests/spec/data-and-functions.md` 7.1.

use std::fmt;

use syncline_schema::{FieldType, TableNumber, TableNumbers, Value, decode_json, encode_json};

use crate::error::closed;
use crate::limits::ARGUMENTS_BYTES_MAX;
use crate::registry::{Definition, FunctionError, Signature};
use crate::run::Run;
use crate::tx::Tx;

/// No value is larger than so many times its text: a float of one digit and its comma counts nine bytes.
pub(crate) const SIZE_PER_TEXT_MAX: usize = 5;

/// Decodes the arguments of one call.
pub(crate) fn decode<D: Definition, A: FieldType>(run: &Run, text: &str) -> Result<A, FunctionError> {
    let signature = D::signature();
    let argument = sole_argument(text);
    let decoded = argument.map(decode_json::<A>);
    let small = text.len() < ARGUMENTS_BYTES_MAX / SIZE_PER_TEXT_MAX;
    // An action has no transaction to ask for tables; the functions that it calls check the ids that it passes on.
    let ids_open = signature.args_have_ids && run.transaction().is_some();
    match decoded {
        Some(Ok(arguments)) if small && !ids_open => Ok(arguments),
        decoded => {
            check::<D>(run, signature, text)?;
            match decoded {
                Some(Ok(arguments)) => Ok(arguments),
                Some(Err(error)) => Err(invalid(run, &error)),
                None => Err(invalid(run, &"one object is expected, by name; found something else")),
            }
        }
    }
}

/// The text of the object: the whole, or what stands in the brackets of an array. When that is more than one element,
/// it is not decoded, and the check of the whole says so.
fn sole_argument(text: &str) -> Option<&str> {
    let Some(inside) = text.trim_ascii().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Some(text);
    };
    (!inside.trim_ascii().is_empty()).then_some(inside)
}

/// Finds what is wrong, in the order that is laid down. Finds nothing when all is well.
fn check<D: Definition>(run: &Run, signature: &Signature, text: &str) -> Result<(), FunctionError> {
    let value = Value::from_json(text).map_err(|error| {
        failure(run, &format_args!("the arguments of {} cannot be decoded: {error}", path::<D>(run)))
    })?;
    let arguments = match value {
        Value::Array(arguments) => arguments,
        argument => vec![argument],
    };
    // Without the copy that wrapping it again would need: an array counts two bytes beside its elements.
    let size = 2 + arguments.iter().map(Value::size).sum::<usize>();
    if size > ARGUMENTS_BYTES_MAX {
        let path = path::<D>(run);
        let text = format_args!("the arguments of {path} are too large: {size} bytes, at most {ARGUMENTS_BYTES_MAX}");
        return Err(failure(run, &text));
    }
    let [argument] = arguments.as_slice() else {
        return Err(invalid(run, &format_args!("{} arguments found, one object expected", arguments.len())));
    };
    if !matches!(argument, Value::Object(_)) {
        return Err(invalid(run, &format_args!("{argument} found, one object expected")));
    }
    let Some(tx) = run.transaction() else { return Ok(()) };
    signature.args.check(argument, &Tables(tx.as_ref())).map_err(|finding| invalid(run, &finding))
}

/// The path that the function is registered at, or its bare name when it is not.
pub(crate) fn path<D: Definition>(run: &Run) -> String {
    run.registry().registered(D::key()).map_or_else(|| D::NAME.to_owned(), |registered| registered.path.short())
}

/// Arguments that do not fit the function's validator.
fn invalid(run: &Run, finding: &dyn fmt::Display) -> FunctionError {
    if run.is_nested() {
        return failure(run, finding);
    }
    FunctionError { message: closed(format!("ArgumentValidationError: {finding}")), data: None }
}

/// Arguments that are none at all. In a nested call either is an error of the calling code, with a code.
fn failure(run: &Run, problem: &dyn fmt::Display) -> FunctionError {
    let code = if run.is_nested() { "InvalidArgs: " } else { "" };
    FunctionError { message: closed(format!("Uncaught Error: {code}{problem}")), data: None }
}

/// The tables that a transaction sees.
pub(crate) struct Tables<'a>(pub(crate) &'a dyn Tx);

impl TableNumbers for Tables<'_> {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.0.table_number(name)
    }

    fn name(&self, number: TableNumber) -> Option<String> {
        self.0.table_name(number).map(|name| name.as_ref().to_owned())
    }
}

/// The arguments of a call from another function: a tuple, in the order of the parameters.
pub trait Arguments {
    /// Their JSON by name.
    fn into_json(self, names: &[&str]) -> String;
}

macro_rules! arguments {
    ($($letter:ident $place:tt),*) => {
        impl<$($letter: FieldType),*> Arguments for ($($letter,)*) {
            #[allow(unused_variables, unused_mut)]
            fn into_json(self, names: &[&str]) -> String {
                let mut fields: Vec<(&str, String)> = Vec::new();
                $(if !self.$place.is_missing() {
                    fields.push((names[$place], encode_json(&self.$place)));
                })*
                object_json(fields)
            }
        }
    };
}

/// An object of encoded fields.
fn object_json(mut fields: Vec<(&str, String)>) -> String {
    fields.sort_unstable_by_key(|(name, _)| *name);
    let mut json = String::from("{");
    for (i, (name, value)) in fields.iter().enumerate() {
        if i > 0 {
            json.push(',');
        }
        // Names of arguments are identifiers: nothing in them needs an escape.
        json.push_str(&format!("\"{name}\":{value}"));
    }
    json.push('}');
    json
}

arguments!();
arguments!(A 0);
arguments!(A 0, B 1);
arguments!(A 0, B 1, C 2);
arguments!(A 0, B 1, C 2, D 3);
arguments!(A 0, B 1, C 2, D 3, E 4);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
arguments!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
