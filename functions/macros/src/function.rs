//! `#[query]`, `#[mutation]`, `#[action]`: the function stays as it is; beside it, in the namespace of types, an
//! uninhabited enum of the same name carries what the registry must know.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Generics, Item, ItemFn, Lit, LitStr, Meta};

use crate::codec::{self, Extra, Field};
use crate::names::{Spelling, check_identifier};
use crate::options;
use crate::signature::{self, Checked, Kind};

/// The options of `#[query(...)]` and its kin.
#[derive(Default)]
struct FunctionOptions {
    internal: bool,
    name: Option<LitStr>,
    spelling: Spelling,
}

impl FunctionOptions {
    fn parse(kind: Kind, tokens: TokenStream) -> syn::Result<Self> {
        let mut found = FunctionOptions::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("internal") && !options::has_value(&meta) {
                found.internal = true;
            } else if meta.path.is_ident("name") {
                let name = options::text(&meta)?;
                check_identifier(&name.value(), "the name of a function", name.span())?;
                found.name = Some(name);
            } else if meta.path.is_ident("rename_all") {
                found.spelling = options::spelling(&meta)?;
            } else {
                let known = ["internal", "name = \"...\"", "rename_all = \"...\""];
                return Err(options::unknown(&meta, kind.attribute(), &known));
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(found)
    }
}

/// Expands an attribute; the function itself is kept when something is wrong, so that only one error shows.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Fn(function)) => function,
        Ok(other) => {
            let problem = format!("#[{}] goes on an `async fn`", kind.attribute());
            let error = syn::Error::new_spanned(&other, problem).into_compile_error();
            return quote!(#error #item);
        }
        Err(error) => return error.into_compile_error(),
    };
    match definition(kind, options, &function) {
        Ok(definition) => quote!(#function #definition),
        Err(error) => {
            let error = error.into_compile_error();
            if function.sig.receiver().is_some() {
                // A method's block has no room for the enum.
                return quote!(#error #function);
            }
            let (ident, visibility) = (&function.sig.ident, &function.vis);
            quote! {
                #error
                #function
                #[doc(hidden)]
                #[allow(non_camel_case_types, dead_code)]
                #visibility enum #ident {}
            }
        }
    }
}

fn definition(kind: Kind, options: TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    let options = FunctionOptions::parse(kind, options)?;
    let Checked { guards, parameters, returned } = signature::check(kind, options.spelling, function)?;
    let (ident, visibility) = (&function.sig.ident, &function.vis);
    let name = options.name.map_or_else(|| syn::ext::IdentExt::unraw(ident).to_string(), |name| name.value());
    let access = if options.internal { quote!(Internal) } else { quote!(Public) };
    let kind_name = kind_ident(kind);
    let docs = docs(&function.attrs);
    let wires: Vec<_> = parameters.iter().map(|parameter| parameter.wire.clone()).collect();
    let passed: Vec<_> = parameters.iter().map(|parameter| parameter.ident.clone()).collect();
    let arguments = arguments_struct(parameters)?;
    let proofs: Vec<_> = (0..guards.len()).map(|i| format_ident!("guard_{i}")).collect();
    let checks = guards.iter().zip(&proofs).map(|(guard, proof)| {
        quote_spanned!(guard.span()=> let #proof =
            ::syncline::__macro::passed::<::syncline::__macro::contexts::#kind_name, #guard>(&ctx).await?;
        )
    });
    let call = quote_spanned! {returned.span()=>
        ::syncline::__macro::returned::<Self, _>(#ident(&ctx, #(&#proofs,)* #(arguments.#passed),*).await)
    };
    let returns = quote_spanned!(returned.span()=> ::syncline::__macro::returned_validator::<#returned>());
    // Without `allow(dead_code)`, and at the place of the name: a function that nobody registers is told as unused.
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #visibility enum #ident {}
        const _: () = {
            #arguments
            #[automatically_derived]
            impl ::syncline::__macro::Definition for #ident {
                const NAME: &'static str = #name;
                const KIND: ::syncline::__macro::FunctionKind = ::syncline::__macro::FunctionKind::#kind_name;
                const VISIBILITY: ::syncline::__macro::Visibility = ::syncline::__macro::Visibility::#access;
                const DOCS: &'static str = #docs;
                const PARAMETERS: &'static [&'static str] = &[#(#wires),*];
                fn key() -> ::core::any::TypeId {
                    ::syncline::__macro::key_of(&#ident)
                }
                fn signature() -> &'static ::syncline::__macro::Signature {
                    static SIGNATURE: ::syncline::__macro::SignatureCell = ::syncline::__macro::SignatureCell::new();
                    SIGNATURE.get_or_init(|| {
                        ::syncline::__macro::Signature::new(
                            <Arguments as ::syncline::__macro::FieldType>::validator(),
                            #returns,
                        )
                    })
                }
                fn handler(
                    run: ::std::sync::Arc<::syncline::__macro::Run>,
                    arguments: ::std::sync::Arc<str>,
                ) -> ::syncline::__macro::BoxFuture<
                    'static,
                    ::core::result::Result<::std::string::String, ::syncline::__macro::FunctionError>,
                > {
                    ::syncline::__macro::handle::<Self, _, _, _, _>(
                        run,
                        arguments,
                        |ctx: ::syncline::__macro::contexts::#kind_name, arguments: Arguments| async move {
                            #(#checks)*
                            #call
                        },
                    )
                }
            }
        };
    })
}

/// The struct `Arguments`, which the arguments are decoded into.
fn arguments_struct(parameters: Vec<Field>) -> syn::Result<TokenStream> {
    let fields: Vec<_> = parameters.iter().map(|Field { ident, ty, .. }| quote!(#ident: #ty)).collect();
    let sorted = codec::sorted(parameters)?;
    let codec = codec::field_type(&format_ident!("Arguments"), &Generics::default(), &sorted, Extra::Refused);
    Ok(quote!(struct Arguments { #(#fields),* } #codec))
}

fn kind_ident(kind: Kind) -> TokenStream {
    match kind {
        Kind::Query => quote!(Query),
        Kind::Mutation => quote!(Mutation),
        Kind::Action => quote!(Action),
    }
}

/// The doc comment, without the space that `///` leaves before each line.
fn docs(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else { continue };
        let Expr::Lit(literal) = &meta.value else { continue };
        if let (true, Lit::Str(text)) = (meta.path.is_ident("doc"), &literal.lit) {
            // Not `lines`, which has none for the empty line between two paragraphs.
            let text = text.value();
            lines.extend(text.split('\n').map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()));
        }
    }
    lines.join("\n").trim().to_owned()
}
