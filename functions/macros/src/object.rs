//! `derive(Object)`: structs, unions of literals, and unions of tagged objects.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DataEnum, DeriveInput, Fields, Ident, LitStr};

use crate::codec::{self, Extra, Target};
use crate::names::{Spelling, check_identifier};
use crate::options::{self, NameOption};

/// The options of `#[object(...)]`.
#[derive(Default)]
struct ObjectOptions {
    spelling: Spelling,
    tag: Option<LitStr>,
}

impl ObjectOptions {
    fn parse(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut found = ObjectOptions::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("object")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename_all") {
                    found.spelling = options::spelling(&meta)?;
                } else if meta.path.is_ident("tag") {
                    let tag = options::text(&meta)?;
                    check_identifier(&tag.value(), "the tag of a union", tag.span())?;
                    found.tag = Some(tag);
                } else {
                    return Err(options::unknown(&meta, "object", &["rename_all = \"...\"", "tag = \"...\""]));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// The tag of a union when `#[object(tag = "...")]` does not name another.
const TAG_DEFAULT: &str = "type";

/// A variant with its name on the wire.
struct Variant<'a> {
    ident: &'a Ident,
    wire: String,
    fields: &'a Fields,
}

/// Expands `derive(Object)`.
pub(crate) fn expand(input: DeriveInput) -> syn::Result<TokenStream> {
    let options = ObjectOptions::parse(&input.attrs)?;
    refuse_lifetimes(&input)?;
    match &input.data {
        Data::Struct(data) => {
            if let Some(tag) = options.tag {
                return Err(syn::Error::new(tag.span(), "only an enum has a tag"));
            }
            if !matches!(data.fields, Fields::Named(_)) {
                return Err(syn::Error::new(
                    input.ident.span(),
                    format!("derive(Object) needs named fields: `struct {} {{ name: Type }}`", input.ident),
                ));
            }
            let fields = codec::named_fields(&data.fields, options.spelling)?;
            let code = codec::field_type(&input.ident, &input.generics, &fields, Extra::Refused);
            let comparable = comparable_when_missing(&input);
            Ok(quote!(#code #comparable))
        }
        Data::Enum(data) => {
            if let Some(parameter) = input.generics.params.first() {
                return Err(syn::Error::new(parameter.span(), "an enum with derive(Object) has no type parameters"));
            }
            let code = expand_enum(&input.ident, data, &options)?;
            let comparable = comparable_when_missing(&input);
            Ok(quote!(const _: () = { #code #comparable };))
        }
        Data::Union(data) => {
            Err(syn::Error::new(data.union_token.span(), "derive(Object) is for structs and enums, not for unions"))
        }
    }
}

/// Refuses borrowed data: values outlive the message that they came in.
pub(crate) fn refuse_lifetimes(input: &DeriveInput) -> syn::Result<()> {
    match input.generics.lifetimes().next() {
        None => Ok(()),
        Some(lifetime) => Err(syn::Error::new(
            lifetime.span(),
            "values are owned: write `String` for `&str` and `Vec<T>` for `&[T]`, without a lifetime",
        )),
    }
}

/// So that a plain value can stand for an `Option` of it in patches and index ranges.
fn comparable_when_missing(input: &DeriveInput) -> TokenStream {
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let name = &input.ident;
    quote! {
        #[automatically_derived]
        impl ::syncline::__macro::IntoField<::core::option::Option<#name>> for #name {
            fn into_field(self) -> ::core::option::Option<#name> {
                ::core::option::Option::Some(self)
            }
        }
    }
}

fn expand_enum(name: &Ident, data: &DataEnum, options: &ObjectOptions) -> syn::Result<TokenStream> {
    let variants = variants(data, options.spelling)?;
    if variants.is_empty() {
        return Err(syn::Error::new(name.span(), "derive(Object) needs at least one variant"));
    }
    let all_plain = variants.iter().all(|variant| matches!(variant.fields, Fields::Unit));
    if all_plain && options.tag.is_none() {
        return Ok(literals(name, &variants));
    }
    let tag = options.tag.as_ref().map_or_else(|| TAG_DEFAULT.to_owned(), LitStr::value);
    tagged(name, &variants, &tag, options.spelling)
}

fn variants(data: &DataEnum, spelling: Spelling) -> syn::Result<Vec<Variant<'_>>> {
    let mut found: Vec<Variant<'_>> = Vec::new();
    for variant in &data.variants {
        if let Fields::Unnamed(fields) = &variant.fields {
            let ident = &variant.ident;
            return Err(syn::Error::new(
                fields.span(),
                format!(
                    "a variant is plain or has named fields: write `{ident} {{ value: ... }}` instead of `{ident}(...)`"
                ),
            ));
        }
        let options = NameOption::parse(&variant.attrs, "variant")?;
        let wire = options.name.map_or_else(|| spelling.apply(&variant.ident), |name| name.value());
        if let Some(other) = found.iter().find(|other| other.wire == wire) {
            return Err(syn::Error::new(
                variant.ident.span(),
                format!("`{}` and `{}` are both `{wire}` on the wire", other.ident, variant.ident),
            ));
        }
        found.push(Variant { ident: &variant.ident, wire, fields: &variant.fields });
    }
    Ok(found)
}

/// An enum of plain variants: a union of string literals.
fn literals(name: &Ident, variants: &[Variant<'_>]) -> TokenStream {
    let idents: Vec<_> = variants.iter().map(|variant| variant.ident).collect();
    let wires: Vec<_> = variants.iter().map(|variant| &variant.wire).collect();
    let last = idents.len() - 1;
    let patterns = (0..idents.len()).map(|i| if i == last { quote!(_) } else { quote!(#i) });
    quote! {
        #[automatically_derived]
        impl ::syncline::__macro::FieldType for #name {
            fn validator() -> ::syncline::__macro::Validator {
                ::syncline::__macro::union(::std::vec![#(::syncline::__macro::Validator::literal(#wires)),*])
            }
            fn decode<'de, __D: ::syncline::__macro::de::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                ::core::result::Result::Ok(
                    match ::syncline::__macro::field::variant(deserializer, &[#(#wires),*])? {
                        #(#patterns => #name::#idents,)*
                    },
                )
            }
            fn encode<__S: ::syncline::__macro::ser::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                ::syncline::__macro::field::encode_literal(serializer, match self {
                    #(#name::#idents => #wires,)*
                })
            }
        }
    }
}

/// The code of one variant of a tagged union.
struct TaggedVariant {
    validator: TokenStream,
    decode: TokenStream,
    encode: TokenStream,
}

/// An enum with fields: a union of objects, told apart by a literal under the tag.
fn tagged(name: &Ident, variants: &[Variant<'_>], tag: &str, spelling: Spelling) -> syn::Result<TokenStream> {
    let code: Vec<_> =
        variants.iter().map(|variant| tagged_variant(name, variant, tag, spelling)).collect::<syn::Result<_>>()?;
    let validators = code.iter().map(|variant| &variant.validator);
    let decodes = code.iter().map(|variant| &variant.decode);
    let encodes = code.iter().map(|variant| &variant.encode);
    let wires = variants.iter().map(|variant| &variant.wire);
    Ok(quote! {
        #[automatically_derived]
        impl ::syncline::__macro::FieldType for #name {
            fn validator() -> ::syncline::__macro::Validator {
                ::syncline::__macro::union(::std::vec![#(#validators),*])
            }
            fn decode<'de, __D: ::syncline::__macro::de::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                let (tag, fields) = ::syncline::__macro::field::tagged(deserializer, #tag)?;
                match ::std::string::String::as_str(&tag) {
                    #(#decodes)*
                    other => ::core::result::Result::Err(
                        ::syncline::__macro::de::Error::unknown_variant(other, &[#(#wires),*]),
                    ),
                }
            }
            fn encode<__S: ::syncline::__macro::ser::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                let mut object = ::syncline::__macro::field::Fields::new(serializer)?;
                match self { #(#encodes)* }
                object.end()
            }
        }
    })
}

fn tagged_variant(name: &Ident, variant: &Variant<'_>, tag: &str, spelling: Spelling) -> syn::Result<TaggedVariant> {
    let fields = codec::named_fields(variant.fields, spelling)?;
    if let Some(field) = fields.iter().find(|field| field.wire == tag) {
        return Err(syn::Error::new(
            field.ident.span(),
            format!("`{tag}` is the tag of this union; rename the field, or the tag with #[object(tag = \"...\")]"),
        ));
    }
    let (ident, wire) = (variant.ident, &variant.wire);
    let validators = codec::field_validators(&fields);
    let target = Target { ty: quote!(#name), constructor: quote!(#name::#ident), generics: &syn::Generics::default() };
    let visitor = codec::visitor(&target, &fields, Extra::Refused);
    // The tag stands where the order of names puts it.
    let split = fields.partition_point(|field| field.wire.as_str() < tag);
    // Fields are bound to names that generated code uses for nothing else.
    let bound = |ident: &Ident| format_ident!("field_{}", syn::ext::IdentExt::unraw(ident));
    let access = |ident: &Ident| {
        let name = bound(ident);
        quote!(#name)
    };
    let before = codec::write_fields(&fields[..split], access);
    let after = codec::write_fields(&fields[split..], access);
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let names: Vec<_> = idents.iter().map(|ident| bound(ident)).collect();
    Ok(TaggedVariant {
        validator: quote!(::syncline::__macro::object(::std::vec![
            (#tag, ::syncline::__macro::FieldValidator::required(::syncline::__macro::Validator::literal(#wire))),
            #validators
        ])),
        decode: quote!(#wire => {
            #visitor
            ::syncline::__macro::field::decode_fields(fields, FieldsVisitor(::core::marker::PhantomData))
        }),
        encode: quote!(#name::#ident { #(#idents: #names),* } => {
            #before
            object.literal(#tag, #wire)?;
            #after
        }),
    })
}
