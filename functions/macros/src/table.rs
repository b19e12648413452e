//! `derive(Table)`: the document of a table, its indexes, and the builder of its patches.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, GenericArgument, Ident, LitStr, PathArguments, Token, Type};
use syn::{bracketed, parenthesized};

use crate::codec::{self, Extra, Field};
use crate::names::{Spelling, check_identifier};
use crate::object::refuse_lifetimes;
use crate::options;

/// Most fields of an index (`spec/data-and-functions.md` 3.5).
const INDEX_FIELDS_MAX: usize = 16;

/// The indexes that every table has.
const INDEXES_RESERVED: [&str; 2] = ["by_id", "by_creation_time"];

/// The options of `#[table(...)]`.
struct TableOptions {
    name: LitStr,
    spelling: Spelling,
    indexes: Vec<Index>,
    /// Whether documents are read and written under row rules only.
    ruled: bool,
}

/// `by_channel = [channel]`.
struct Index {
    name: Ident,
    fields: Vec<IndexField>,
}

/// A field of the struct, or the path of a nested one as the wire has it.
enum IndexField {
    Own(Ident),
    Path(LitStr),
}

impl Parse for Index {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        let list;
        bracketed!(list in input);
        let fields = Punctuated::<IndexField, Token![,]>::parse_terminated(&list)?;
        Ok(Index { name, fields: fields.into_iter().collect() })
    }
}

impl Parse for IndexField {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) { input.parse().map(IndexField::Path) } else { input.parse().map(IndexField::Own) }
    }
}

impl TableOptions {
    fn parse(struct_name: &Ident, attributes: &[Attribute]) -> syn::Result<Self> {
        let (mut name, mut spelling, mut indexes, mut ruled) = (None, Spelling::default(), Vec::new(), false);
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("table")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    name = Some(options::text(&meta)?);
                } else if meta.path.is_ident("rename_all") {
                    spelling = options::spelling(&meta)?;
                } else if meta.path.is_ident("index") {
                    let list;
                    parenthesized!(list in meta.input);
                    indexes.extend(Punctuated::<Index, Token![,]>::parse_terminated(&list)?);
                } else if meta.path.is_ident("ruled") && !options::has_value(&meta) {
                    ruled = true;
                } else {
                    let known = ["name = \"...\"", "index(by_field = [field])", "rename_all = \"...\"", "ruled"];
                    return Err(options::unknown(&meta, "table", &known));
                }
                Ok(())
            })?;
        }
        let Some(name) = name else {
            return Err(syn::Error::new(
                struct_name.span(),
                "derive(Table) needs the name of the table: #[table(name = \"messages\")]",
            ));
        };
        check_identifier(&name.value(), "the name of a table", name.span())?;
        if name.value().starts_with('_') {
            return Err(syn::Error::new(name.span(), "names of tables that begin with `_` are kept for the system"));
        }
        Ok(TableOptions { name, spelling, indexes, ruled })
    }
}

/// Expands `derive(Table)`.
pub(crate) fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    let options = TableOptions::parse(&input.ident, &input.attrs)?;
    refuse_lifetimes(&input)?;
    if let Some(parameter) = input.generics.params.first() {
        return Err(syn::Error::new(parameter.span(), "a table is one type: derive(Table) takes no type parameters"));
    }
    let fields = match &input.data {
        Data::Struct(data) if !matches!(data.fields, Fields::Unnamed(_)) => {
            codec::named_fields(&data.fields, options.spelling)?
        }
        _ => {
            return Err(syn::Error::new(
                input.ident.span(),
                format!("derive(Table) is for structs with named fields: `struct {} {{ name: Type }}`", input.ident),
            ));
        }
    };
    refuse_system_fields(&fields)?;
    let field_type = codec::field_type(&input.ident, &input.generics, &fields, Extra::System);
    let table = table_impl(&input.ident, &options, &fields)?;
    let patch = patch_impl(&input, &fields);
    Ok(quote!(#field_type #table #patch))
}

fn refuse_system_fields(fields: &[Field]) -> syn::Result<()> {
    match fields.iter().find(|field| field.wire.starts_with('_')) {
        None => Ok(()),
        Some(field) => Err(syn::Error::new(
            field.ident.span(),
            format!(
                "`{}`: fields that begin with `_` are the system's; `_id` and `_creationTime` come with every document \
                 as `doc.id` and `doc.creation_time`",
                field.wire
            ),
        )),
    }
}

fn table_impl(name: &Ident, options: &TableOptions, fields: &[Field]) -> syn::Result<TokenStream> {
    let mut definitions = Vec::new();
    let mut functions = Vec::new();
    for (i, index) in options.indexes.iter().enumerate() {
        let (definition, function) = index_impl(index, &options.indexes[..i], fields)?;
        definitions.push(definition);
        functions.push(function);
    }
    let table = &options.name;
    let open = (!options.ruled).then(|| {
        quote! {
            #[automatically_derived]
            impl ::syncline::__macro::OpenTable for #name {}
        }
    });
    let all = index_range("by_creation_time", &[]);
    let by_creation_time = index_range("by_creation_time", &["_creationTime", "_id"]);
    let by_id = index_range("by_id", &["_id"]);
    Ok(quote! {
        #open
        #[automatically_derived]
        impl ::syncline::__macro::Table for #name {
            const NAME: &'static str = #table;
            fn definition() -> ::syncline::__macro::TableDefinition {
                ::syncline::__macro::TableDefinition::new(
                    #table,
                    <Self as ::syncline::__macro::FieldType>::validator(),
                )
                #(#definitions)*
            }
        }
        #[automatically_derived]
        #[allow(dead_code)]
        impl #name {
            /// All documents, in the order of their creation.
            pub fn all() -> ::syncline::__macro::IndexRange<Self, ()> {
                #all
            }
            /// The index by time of creation.
            pub fn by_creation_time() -> ::syncline::__macro::IndexRange<
                Self,
                (f64, (::syncline::__macro::Id<Self>, ())),
            > {
                #by_creation_time
            }
            /// The index by id.
            pub fn by_id() -> ::syncline::__macro::IndexRange<Self, (::syncline::__macro::Id<Self>, ())> {
                #by_id
            }
            #(#functions)*
        }
    })
}

/// One index: its entry in the definition, and the function that begins a range of it.
fn index_impl(index: &Index, earlier: &[Index], fields: &[Field]) -> syn::Result<(TokenStream, TokenStream)> {
    check_index(index, earlier)?;
    let ident = &index.name;
    let name = ident.to_string();
    let mut wires = Vec::new();
    let mut key = quote!((f64, (::syncline::__macro::Id<Self>, ())));
    for field in index.fields.iter().rev() {
        let (wire, ty) = match field {
            IndexField::Path(path) => {
                for part in path.value().split('.') {
                    check_identifier(part, "a part of a field's path", path.span())?;
                }
                (path.value(), quote!(::syncline::__macro::Value))
            }
            IndexField::Own(ident) => {
                let field = find_field(ident, fields)?;
                let ty = &field.ty;
                (field.wire.clone(), quote!(#ty))
            }
        };
        if wires.contains(&wire) {
            return Err(syn::Error::new(ident.span(), format!("`{wire}` is twice in the index `{name}`")));
        }
        key = quote!((#ty, #key));
        wires.push(wire);
    }
    wires.reverse();
    let docs = format!("The index `{name}`: {}.", wires.join(", "));
    let all_wires: Vec<&str> = wires.iter().map(String::as_str).chain(["_creationTime", "_id"]).collect();
    let range = index_range(&name, &all_wires);
    let definition = quote!(.with_index(#name, &[#(#wires),*]));
    let function = quote! {
        #[doc = #docs]
        pub fn #ident() -> ::syncline::__macro::IndexRange<Self, #key> {
            #range
        }
    };
    Ok((definition, function))
}

/// The whole range of an index with these fields.
fn index_range(name: &str, fields: &[&str]) -> TokenStream {
    quote! {
        static FIELDS: ::syncline::__macro::IndexFields = ::syncline::__macro::IndexFields::new(&[#(#fields),*]);
        ::syncline::__macro::IndexRange::new(#name, &FIELDS)
    }
}

fn check_index(index: &Index, earlier: &[Index]) -> syn::Result<()> {
    let name = index.name.to_string();
    let broken = if name.starts_with('_') || INDEXES_RESERVED.contains(&name.as_str()) {
        format!("the name `{name}` is kept: every table has `by_id` and `by_creation_time`")
    } else if index.fields.is_empty() {
        format!("an index has at least one field: `{name} = [field]`")
    } else if index.fields.len() > INDEX_FIELDS_MAX {
        format!("an index has at most {INDEX_FIELDS_MAX} fields, `{name}` has {}", index.fields.len())
    } else if earlier.iter().any(|other| other.name == index.name) {
        format!("there are two indexes called `{name}`")
    } else {
        return check_identifier(&name, "the name of an index", index.name.span());
    };
    Err(syn::Error::new(index.name.span(), broken))
}

fn find_field<'a>(ident: &Ident, fields: &'a [Field]) -> syn::Result<&'a Field> {
    let found = fields.iter().find(|field| field.ident == *ident);
    found.ok_or_else(|| {
        let names: Vec<_> = fields.iter().map(|field| format!("`{}`", field.ident)).collect();
        let hint = match ident.to_string().as_str() {
            "_creationTime" | "_creation_time" | "creation_time" => {
                "; every index ends in the time of creation anyway, so leave it out"
            }
            "_id" | "id" => "; `ctx.db.get` loads by id",
            _ => "",
        };
        syn::Error::new(
            ident.span(),
            format!("there is no field `{ident}` here; there are: {}{hint}", names.join(", ")),
        )
    })
}

/// The struct `MessagePatch`, with a setter for each field.
fn patch_impl(input: &DeriveInput, fields: &[Field]) -> TokenStream {
    let (name, visibility) = (&input.ident, &input.vis);
    let patch = format_ident!("{name}Patch");
    let setters = fields.iter().map(|Field { ident, wire, ty }| {
        let docs = format!("Sets `{wire}`.");
        let set = quote_spanned!(ty.span()=> self.fields.set::<#ty>(#wire, &value.into_field(), open););
        let clear = option_inside(ty).map(|_| {
            let clear = format_ident!("clear_{ident}");
            let docs = format!("Removes `{wire}`.");
            quote! {
                #[doc = #docs]
                pub fn #clear(mut self) -> Self {
                    self.fields.clear(#wire);
                    self
                }
            }
        });
        quote! {
            #[doc = #docs]
            pub fn #ident(mut self, value: impl ::syncline::__macro::IntoField<#ty>) -> Self {
                static OPEN: ::syncline::__macro::TableIsOpen = ::syncline::__macro::TableIsOpen::new();
                let open = OPEN.get::<#name>();
                #set
                self
            }
            #clear
        }
    });
    let docs = format!("Changes to some fields of a [`{name}`]; the others stay as they are.");
    quote! {
        #[doc = #docs]
        #[must_use = "a patch does nothing until `ctx.db.patch(id, patch)`"]
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::default::Default)]
        #[allow(dead_code)]
        #visibility struct #patch {
            fields: ::syncline::__macro::PatchFields,
        }
        #[automatically_derived]
        #[allow(dead_code)]
        impl #patch {
            #(#setters)*
        }
        #[automatically_derived]
        impl ::syncline::__macro::Patch for #patch {
            type Table = #name;
            fn into_fields(self) -> ::syncline::__macro::PatchFields {
                self.fields
            }
        }
        #[automatically_derived]
        #[allow(dead_code)]
        impl #name {
            /// Begins a patch: name the fields to change.
            pub fn patch() -> #patch {
                <#patch as ::core::default::Default>::default()
            }
        }
    }
}

/// `T` of `Option<T>`, as far as the spelling shows it.
fn option_inside(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match (last.ident == "Option", arguments.args.first()?) {
        (true, GenericArgument::Type(inside)) => Some(inside),
        _ => None,
    }
}
