//! The code that validates, decodes and encodes an object with named fields: shared by tables, objects, the
//! variants of tagged unions and the arguments of functions.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Fields, Generics, Ident, Type};

use crate::names::{Spelling, check_identifier};
use crate::options::NameOption;

/// A field with its names on both sides.
pub(crate) struct Field {
    /// In Rust.
    pub(crate) ident: Ident,
    /// On the wire.
    pub(crate) wire: String,
    /// Its type.
    pub(crate) ty: Type,
}

/// Reads the fields of a struct or a variant, in the order of their wire names, each at most once.
pub(crate) fn named_fields(fields: &Fields, spelling: Spelling) -> syn::Result<Vec<Field>> {
    let mut named = Vec::new();
    for field in fields {
        let Some(ident) = field.ident.clone() else {
            return Err(syn::Error::new(field.span(), "fields need names here: write `{ name: Type }`"));
        };
        let options = NameOption::parse(&field.attrs, "field")?;
        let (wire, span) = match options.name {
            Some(name) => (name.value(), name.span()),
            None => (spelling.apply(&ident), ident.span()),
        };
        check_identifier(&wire, "the wire name of a field", span)?;
        named.push(Field { ident, wire, ty: field.ty.clone() });
    }
    sorted(named)
}

/// The fields in byte order of their wire names, which is the order of writing them.
pub(crate) fn sorted(mut fields: Vec<Field>) -> syn::Result<Vec<Field>> {
    fields.sort_by(|a, b| a.wire.cmp(&b.wire));
    for pair in fields.windows(2) {
        if pair[0].wire == pair[1].wire {
            return Err(syn::Error::new(
                pair[1].ident.span(),
                format!("`{}` and `{}` are both `{}` on the wire", pair[0].ident, pair[1].ident, pair[0].wire),
            ));
        }
    }
    Ok(fields)
}

/// Which fields beside its own an object may carry.
#[derive(Clone, Copy)]
pub(crate) enum Extra {
    /// None.
    Refused,
    /// `_id` and `_creationTime`, which are passed over: a document.
    System,
}

impl Extra {
    /// The function of `Keys` that makes such keys.
    fn keys(self) -> TokenStream {
        match self {
            Extra::Refused => quote!(of_object),
            Extra::System => quote!(of_table),
        }
    }
}

/// The validators of fields: the items of an array.
pub(crate) fn field_validators(fields: &[Field]) -> TokenStream {
    let items = fields.iter().map(|Field { wire, ty, .. }| {
        let validator = quote_spanned!(ty.span()=> <#ty as ::syncline::__macro::FieldType>::field_validator());
        quote!((#wire, #validator))
    });
    quote!(#(#items,)*)
}

/// Statements that write `fields`, each reached through `access`, as fields of `object`.
pub(crate) fn write_fields(fields: &[Field], access: impl Fn(&Ident) -> TokenStream) -> TokenStream {
    let writes = fields.iter().map(|Field { ident, wire, ty }| {
        let value = access(ident);
        quote_spanned!(ty.span()=> object.field::<#ty>(#wire, #value)?;)
    });
    quote!(#(#writes)*)
}

/// What a [`visitor`] makes of the fields.
pub(crate) struct Target<'a> {
    /// The type that comes out.
    pub(crate) ty: TokenStream,
    /// What stands before the braces: the struct, or the enum's variant.
    pub(crate) constructor: TokenStream,
    /// The type parameters of the type.
    pub(crate) generics: &'a Generics,
}

/// A visitor called `FieldsVisitor`, which reads the fields from a map and puts them together.
pub(crate) fn visitor(target: &Target<'_>, fields: &[Field], extra: Extra) -> TokenStream {
    let Target { ty, constructor, generics } = target;
    let wires: Vec<_> = fields.iter().map(|field| &field.wire).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let slots: Vec<_> = (0..fields.len()).map(|i| format_ident!("field_{i}")).collect();
    // At the place of the type, so that a type that cannot be a field is complained of once.
    let reads = fields.iter().zip(&slots).enumerate().map(|(place, (Field { ty, .. }, slot))| {
        let seed = quote_spanned!(ty.span()=> ::syncline::__macro::field::FieldSeed::<#ty>::new());
        quote_spanned!(ty.span()=> #place => {
            #slot = ::core::option::Option::Some(
                ::syncline::__macro::de::MapAccess::next_value_seed(&mut map, #seed)?,
            );
        })
    });
    let values = fields.iter().zip(&slots).map(|(Field { ident, wire, ty }, slot)| {
        let value = quote_spanned!(ty.span()=> ::syncline::__macro::field::present::<#ty, __A::Error>(#slot, #wire)?);
        quote!(#ident: #value,)
    });
    let keys = extra.keys();
    let mut with_lifetime = (*generics).clone();
    with_lifetime.params.insert(0, syn::parse_quote!('de));
    let (visitor_impl, _, bounds) = with_lifetime.split_for_impl();
    let (declared, ty_generics, _) = generics.split_for_impl();
    quote! {
        const KEYS: ::syncline::__macro::field::Keys = ::syncline::__macro::field::Keys::#keys(&[#(#wires),*]);
        struct FieldsVisitor #declared (::core::marker::PhantomData<fn() -> #ty>) #bounds;
        #[automatically_derived]
        impl #visitor_impl ::syncline::__macro::de::Visitor<'de> for FieldsVisitor #ty_generics #bounds {
            type Value = #ty;
            fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                KEYS.expecting(f)
            }
            fn visit_map<__A: ::syncline::__macro::de::MapAccess<'de>>(
                self,
                mut map: __A,
            ) -> ::core::result::Result<Self::Value, __A::Error> {
                #(let mut #slots: ::core::option::Option<#types> = ::core::option::Option::None;)*
                while let ::core::option::Option::Some(::syncline::__macro::field::Key(place)) =
                    ::syncline::__macro::de::MapAccess::next_key_seed(&mut map, KEYS)?
                {
                    match place {
                        #(#reads)*
                        _ => ::syncline::__macro::field::skip(&mut map)?,
                    }
                }
                ::core::result::Result::Ok(#constructor { #(#values)* })
            }
        }
    }
}

/// Statements that read the fields of a struct from text as programs write it.
fn read_fields(name: &Ident, fields: &[Field], extra: Extra) -> TokenStream {
    let wires: Vec<_> = fields.iter().map(|field| &field.wire).collect();
    let slots: Vec<_> = (0..fields.len()).map(|i| format_ident!("field_{i}")).collect();
    let types = fields.iter().map(|field| &field.ty);
    // At the place of the type, as in the visitor.
    let reads = fields.iter().zip(&slots).enumerate().map(|(place, (Field { ty, .. }, slot))| {
        let read = quote_spanned!(ty.span()=> <#ty as ::syncline::__macro::FieldType>::read_field(reader)?);
        quote!(#place => #slot = ::core::option::Option::Some(#read),)
    });
    let values = fields.iter().zip(&slots).map(|(Field { ident, wire, ty }, slot)| {
        let error = quote!(::syncline::__macro::field::GivenUp);
        let value = quote_spanned!(ty.span()=> ::syncline::__macro::field::present::<#ty, #error>(#slot, #wire)?);
        quote!(#ident: #value,)
    });
    let keys = extra.keys();
    quote! {
        const KEYS: ::syncline::__macro::field::Keys = ::syncline::__macro::field::Keys::#keys(&[#(#wires),*]);
        #(let mut #slots: ::core::option::Option<#types> = ::core::option::Option::None;)*
        let mut object = reader.open_object()?;
        while let ::core::option::Option::Some(::syncline::__macro::field::Key(place)) =
            reader.next_key(&KEYS, &mut object)?
        {
            match place {
                #(#reads)*
                _ => reader.skip()?,
            }
        }
        ::core::result::Result::Ok(#name { #(#values)* })
    }
}

/// The whole `FieldType` of a struct with named fields.
pub(crate) fn field_type(name: &Ident, generics: &Generics, fields: &[Field], extra: Extra) -> TokenStream {
    let mut generics = generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(::syncline::__macro::FieldType));
        parameter.default = None;
    }
    let (impl_generics, ty_generics, bounds) = generics.split_for_impl();
    let validators = field_validators(fields);
    let ty = quote!(#name #ty_generics);
    let visitor = visitor(&Target { ty, constructor: quote!(#name), generics: &generics }, fields, extra);
    let writes = write_fields(fields, |ident| quote!(&self.#ident));
    let reads = read_fields(name, fields, extra);
    quote! {
        #[automatically_derived]
        impl #impl_generics ::syncline::__macro::FieldType for #name #ty_generics #bounds {
            fn validator() -> ::syncline::__macro::Validator {
                ::syncline::__macro::object(::std::vec![#validators])
            }
            fn decode<'de, __D: ::syncline::__macro::de::Deserializer<'de>>(
                deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                #visitor
                ::syncline::__macro::de::Deserializer::deserialize_map(
                    deserializer,
                    FieldsVisitor(::core::marker::PhantomData),
                )
            }
            fn read(
                reader: &mut ::syncline::__macro::field::Reader<'_>,
            ) -> ::core::result::Result<Self, ::syncline::__macro::field::GivenUp> {
                #reads
            }
            fn encode<__S: ::syncline::__macro::ser::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                #[allow(unused_mut)]
                let mut object = ::syncline::__macro::field::Fields::new(serializer)?;
                #writes
                object.end()
            }
        }
    }
}
