//! From the names in Rust to the names on the wire.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Ident, LitStr};

/// Longest identifier that the wire takes (`spec/data-and-functions.md` 1.4).
const IDENTIFIER_LEN_MAX: usize = 64;

/// How names are spelled on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `sentAt`, `inProgress`: what JavaScript clients write.
    #[default]
    Camel,
    /// `sent_at`, `in_progress`.
    Snake,
    /// `SentAt`, `InProgress`.
    Pascal,
}

impl Spelling {
    /// Reads the value of `rename_all`.
    pub(crate) fn parse(text: &LitStr) -> syn::Result<Self> {
        match text.value().as_str() {
            "camelCase" => Ok(Spelling::Camel),
            "snake_case" => Ok(Spelling::Snake),
            "PascalCase" => Ok(Spelling::Pascal),
            other => Err(syn::Error::new(
                text.span(),
                format!("`{other}` is no spelling; use \"camelCase\" (the default), \"snake_case\" or \"PascalCase\""),
            )),
        }
    }

    /// The wire name of a Rust identifier, of a field or of a variant.
    pub(crate) fn apply(self, ident: &Ident) -> String {
        let name = ident.unraw().to_string();
        let body = name.trim_start_matches('_');
        let underscores = &name[..name.len() - body.len()];
        let words = words(body);
        let spelled = match self {
            Spelling::Snake => words.join("_"),
            Spelling::Pascal => words.iter().map(|word| capitalized(word)).collect(),
            Spelling::Camel => {
                let rest: String = words.iter().skip(1).map(|word| capitalized(word)).collect();
                words.first().map_or(String::new(), Clone::clone) + &rest
            }
        };
        format!("{underscores}{spelled}")
    }
}

/// The words of `sent_at`, `SentAt` and `HTTPError` (`http`, `error`), in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let letters: Vec<char> = part.chars().collect();
        let mut word = String::new();
        for (i, letter) in letters.iter().enumerate() {
            let after_lower = i > 0 && !letters[i - 1].is_uppercase();
            let before_lower = i > 0 && letters.get(i + 1).is_some_and(|next| next.is_lowercase());
            if letter.is_uppercase() && (after_lower || before_lower) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.extend(letter.to_lowercase());
        }
        words.push(word);
    }
    words
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Checks that a wire name is an identifier; `what` names the thing in the message.
pub(crate) fn check_identifier(name: &str, what: &str, span: Span) -> syn::Result<()> {
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest_fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let broken = if !first_fits || !rest_fits {
        "it is made of the letters a to z, digits and `_`, and does not begin with a digit"
    } else if name.chars().all(|c| c == '_') {
        "it is not made of `_` alone"
    } else if name.len() > IDENTIFIER_LEN_MAX {
        "it has at most 64 characters"
    } else {
        return Ok(());
    };
    Err(syn::Error::new(span, format!("`{name}` cannot be {what}: {broken}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_for_the_wire() {
        for (rust, camel, snake, pascal) in [
            ("sent_at", "sentAt", "sent_at", "SentAt"),
            ("body", "body", "body", "Body"),
            ("r#type", "type", "type", "Type"),
            ("_unused_arg", "_unusedArg", "_unused_arg", "_UnusedArg"),
            ("InProgress", "inProgress", "in_progress", "InProgress"),
            ("HTTPError", "httpError", "http_error", "HttpError"),
            ("line2", "line2", "line2", "Line2"),
        ] {
            let ident: Ident = syn::parse_str(rust).unwrap();
            assert_eq!(Spelling::Camel.apply(&ident), camel);
            assert_eq!(Spelling::Snake.apply(&ident), snake);
            assert_eq!(Spelling::Pascal.apply(&ident), pascal);
        }
    }

    #[test]
    fn identifiers_are_those_of_the_wire() {
        for good in ["a", "_a", "a1", "by_channel"] {
            assert!(check_identifier(good, "a name", Span::call_site()).is_ok(), "{good}");
        }
        for bad in ["", "1a", "a-b", "é", "___", &"a".repeat(65)] {
            assert!(check_identifier(bad, "a name", Span::call_site()).is_err(), "{bad}");
        }
    }
}
