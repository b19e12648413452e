//! Types as text: in one line where it fits, else a line for each field or member.

use super::types::{Field, Type};

/// The longest line, as far as lines can be broken.
const LINE_MAX: usize = 110;

/// How much stands before a type in its line, at most usually: a name and the punctuation around the type.
const NAME_ALLOWANCE: usize = 24;

/// A type at some depth of indentation; its first line begins behind something else.
pub(super) fn print(ty: &Type, depth: usize) -> String {
    let line = one_line(ty);
    if 2 * depth + NAME_ALLOWANCE + line.len() <= LINE_MAX {
        return line;
    }
    let (outer, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
    match ty {
        Type::Object(fields) if !fields.is_empty() => {
            let fields: String =
                fields.iter().map(|field| format!("{inner}{};\n", print_field(field, depth + 1))).collect();
            format!("{{\n{fields}{outer}}}")
        }
        Type::Union(members) => {
            let members: Vec<String> =
                members.iter().map(|member| format!("\n{inner}| {}", print(member, depth + 1))).collect();
            members.concat()
        }
        Type::Generic(name, arguments) => {
            let arguments: Vec<String> = arguments
                .iter()
                .map(|argument| format!("{inner}{}", print(argument, depth + 1).trim_start()))
                .collect();
            format!("{name}<\n{}\n{outer}>", arguments.join(",\n"))
        }
        Type::Array(element) => format!("Array<{}>", print(element, depth)),
        Type::Name(_) | Type::Tuple(_) | Type::Object(_) => line,
    }
}

fn print_field(field: &Field, depth: usize) -> String {
    format!("{}: {}", head(field), print(&field.ty, depth))
}

/// The name of a field, with a question mark when it may be missing.
fn head(Field { name, optional, .. }: &Field) -> String {
    let mark = if *optional { "?" } else { "" };
    format!("{}{mark}", key(name))
}

fn one_line(ty: &Type) -> String {
    let all = |types: &[Type], separator: &str| types.iter().map(one_line).collect::<Vec<_>>().join(separator);
    match ty {
        Type::Name(name) => name.clone(),
        Type::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Type::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}: {}", head(field), one_line(&field.ty))).collect();
            format!("{{ {} }}", fields.join("; "))
        }
        Type::Union(members) => all(members, " | "),
        Type::Array(element) => match &**element {
            Type::Union(_) => format!("Array<{}>", one_line(element)),
            element => format!("{}[]", one_line(element)),
        },
        Type::Tuple(members) => format!("[{}]", all(members, ", ")),
        Type::Generic(name, arguments) => format!("{name}<{}>", all(arguments, ", ")),
    }
}

/// A text as a literal.
pub(super) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A name in front of a colon: as it is, or as a text where it is no identifier.
pub(super) fn key(name: &str) -> String {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$'));
    if first_fits && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        name.to_owned()
    } else {
        text(name)
    }
}
