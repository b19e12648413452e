//! The options of our attributes, each refused with the list of those that exist.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitStr, Token};

use crate::names::Spelling;

/// What `#[field(...)]` and `#[variant(...)]` may say.
#[derive(Default)]
pub(crate) struct NameOption {
    /// The name on the wire, instead of the spelled one.
    pub(crate) name: Option<LitStr>,
}

impl NameOption {
    /// Reads all attributes called `attribute`.
    pub(crate) fn parse(attributes: &[Attribute], attribute: &str) -> syn::Result<Self> {
        let mut options = NameOption::default();
        for each in attributes.iter().filter(|each| each.path().is_ident(attribute)) {
            each.parse_nested_meta(|meta| {
                if !meta.path.is_ident("name") {
                    return Err(unknown(&meta, attribute, &["name = \"wireName\""]));
                }
                options.name = Some(text(&meta)?);
                Ok(())
            })?;
        }
        Ok(options)
    }
}

/// The text of `option = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    meta.value()?.parse()
}

/// The spelling of `rename_all = "..."`.
pub(crate) fn spelling(meta: &ParseNestedMeta<'_>) -> syn::Result<Spelling> {
    Spelling::parse(&text(meta)?)
}

/// Whether `= ...` or `(...)` follows the option's name: an option that stands alone must not have it.
pub(crate) fn has_value(meta: &ParseNestedMeta<'_>) -> bool {
    meta.input.peek(Token![=]) || meta.input.peek(syn::token::Paren)
}

/// The refusal of an option that `attribute` does not have.
pub(crate) fn unknown(meta: &ParseNestedMeta<'_>, attribute: &str, known: &[&str]) -> syn::Error {
    let path = &meta.path;
    let found = quote::quote!(#path).to_string();
    meta.error(format!("`{attribute}` has no option `{found}`; it has: {}", known.join(", ")))
}
