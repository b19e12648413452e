//! Parsing of a function's signature. Each mistake is answered with the signature as it should be.

use proc_macro2::Span;
use quote::quote;
use syn::spanned::Spanned;
use syn::{FnArg, GenericArgument, ItemFn, Pat, PatType, PathArguments, ReturnType, Signature, Type};

use crate::codec::Field;
use crate::names::{Spelling, check_identifier};

/// Most parameters of a function beside its context: as many as the tuples of nested calls have.
const PARAMETERS_MAX: usize = 12;

/// What a function may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Mutation,
    Action,
}

impl Kind {
    /// All kinds.
    const ALL: [Kind; 3] = [Kind::Query, Kind::Mutation, Kind::Action];

    /// The attribute's name.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Kind::Query => "query",
            Kind::Mutation => "mutation",
            Kind::Action => "action",
        }
    }

    /// The type of its context.
    pub(crate) fn context(self) -> &'static str {
        match self {
            Kind::Query => "QueryCtx",
            Kind::Mutation => "MutationCtx",
            Kind::Action => "ActionCtx",
        }
    }

    /// `a query`, for messages.
    pub(crate) fn with_article(self) -> &'static str {
        match self {
            Kind::Query => "a query",
            Kind::Mutation => "a mutation",
            Kind::Action => "an action",
        }
    }
}

/// A checked signature.
pub(crate) struct Checked {
    /// The parameters after the context, in the order of the declaration.
    pub(crate) parameters: Vec<Field>,
    /// The `Result` that it returns.
    pub(crate) returned: Type,
}

/// Checks the signature of a function of `kind`, whose parameters are spelled by `spelling` on the wire.
pub(crate) fn check(kind: Kind, spelling: Spelling, item: &ItemFn) -> syn::Result<Checked> {
    let signature = &item.sig;
    check_qualifiers(kind, signature)?;
    check_context(kind, signature)?;
    let mut parameters = Vec::new();
    for argument in signature.inputs.iter().skip(1) {
        if let FnArg::Typed(argument) = argument {
            parameters.push(check_parameter(spelling, argument)?);
        }
    }
    if parameters.len() > PARAMETERS_MAX {
        let text = format!(
            "{} parameters, at most {PARAMETERS_MAX}: gather them in a struct with derive(Object)",
            parameters.len()
        );
        return Err(syn::Error::new(signature.inputs.span(), text));
    }
    Ok(Checked { parameters, returned: check_return(kind, signature)? })
}

/// The message `problem`, followed by the signature as it should be.
fn wrong(kind: Kind, signature: &Signature, span: Span, problem: &str) -> syn::Error {
    let name = &signature.ident;
    let parameters: String = signature
        .inputs
        .iter()
        .filter(|argument| !is_context(argument))
        .filter_map(|argument| match argument {
            FnArg::Receiver(_) => None,
            FnArg::Typed(argument) => {
                let (pat, ty) = (&argument.pat, &argument.ty);
                Some(format!(", {}: {}", quote!(#pat), tidy(&quote!(#ty).to_string())))
            }
        })
        .collect();
    let returned = match &signature.output {
        ReturnType::Type(_, ty) if result_inside(ty).is_some() => tidy(&quote!(#ty).to_string()),
        ReturnType::Type(_, ty) => format!("Result<{}>", tidy(&quote!(#ty).to_string())),
        ReturnType::Default => "Result<()>".to_owned(),
    };
    syn::Error::new(
        span,
        format!(
            "{problem}\n\nlike this:\n\n    #[{}]\n    async fn {name}(ctx: &{}{parameters}) -> {returned}",
            kind.attribute(),
            kind.context(),
        ),
    )
}

/// Token streams print with spaces between all tokens; people do not write so.
fn tidy(tokens: &str) -> String {
    tokens.replace(" < ", "<").replace(" >", ">").replace(" :: ", "::").replace(" ,", ",").replace("& ", "&")
}

fn check_qualifiers(kind: Kind, signature: &Signature) -> syn::Result<()> {
    let wrong = |span: Span, problem: &str| Err(wrong(kind, signature, span, problem));
    let a = kind.with_article();
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return wrong(receiver.span(), &format!("{a} is a free function, without `self`"));
    }
    if let Some(token) = &signature.unsafety {
        return wrong(token.span(), &format!("{a} is not `unsafe`"));
    }
    if let Some(token) = &signature.abi {
        return wrong(token.span(), &format!("{a} has no `extern`"));
    }
    if let Some(token) = &signature.variadic {
        return wrong(token.span(), &format!("{a} has named parameters only"));
    }
    if let Some(parameter) = signature.generics.params.first() {
        let problem = format!("{a} is one function on the wire, so it has no type parameters and no lifetimes");
        return wrong(parameter.span(), &problem);
    }
    if signature.asyncness.is_none() {
        return wrong(signature.fn_token.span(), &format!("{a} is an `async fn`"));
    }
    Ok(())
}

fn check_context(kind: Kind, signature: &Signature) -> syn::Result<()> {
    let expected = format!("the first parameter of {} is its context, `&{}`", kind.with_article(), kind.context());
    let Some(FnArg::Typed(first)) = signature.inputs.first() else {
        return Err(wrong(kind, signature, signature.ident.span(), &expected));
    };
    match context_kind(&first.ty) {
        Some((found, true)) if found == kind => Ok(()),
        Some((found, true)) => {
            let problem = format!("{expected}; `{}` is the context of {}", found.context(), found.with_article());
            Err(wrong(kind, signature, first.ty.span(), &problem))
        }
        Some((_, false)) => {
            let problem = format!("{expected}: borrowed, neither owned nor `&mut`");
            Err(wrong(kind, signature, first.ty.span(), &problem))
        }
        None => Err(wrong(kind, signature, first.ty.span(), &expected)),
    }
}

/// The kind whose context `ty` is, and whether it is borrowed as it should be.
fn context_kind(ty: &Type) -> Option<(Kind, bool)> {
    let (named, borrowed) = match ty {
        Type::Reference(reference) => (&*reference.elem, reference.mutability.is_none()),
        other => (other, false),
    };
    let Type::Path(path) = named else { return None };
    let last = path.path.segments.last()?;
    let kind = Kind::ALL.into_iter().find(|kind| last.ident == kind.context())?;
    Some((kind, borrowed))
}

fn is_context(argument: &FnArg) -> bool {
    matches!(argument, FnArg::Typed(argument) if context_kind(&argument.ty).is_some())
}

fn check_parameter(spelling: Spelling, argument: &PatType) -> syn::Result<Field> {
    let ident = match &*argument.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => pattern.ident.clone(),
        other => {
            return Err(syn::Error::new(
                other.span(),
                "parameters are the arguments by name: write `name: Type`, and take it apart inside the function",
            ));
        }
    };
    if let Some(owned) = owned_form(&argument.ty) {
        return Err(syn::Error::new(argument.ty.span(), format!("arguments are owned: write {owned}")));
    }
    let wire = spelling.apply(&ident);
    check_identifier(&wire, "the wire name of an argument", ident.span())?;
    Ok(Field { ident, wire, ty: (*argument.ty).clone() })
}

/// What to write instead of a type that an argument cannot have; `None` when it may.
fn owned_form(ty: &Type) -> Option<String> {
    match ty {
        Type::Reference(reference) => Some(match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => "`String`".to_owned(),
            Type::Slice(slice) => {
                let element = &slice.elem;
                format!("`Vec<{}>`", tidy(&quote!(#element).to_string()))
            }
            other => format!("`{}`", tidy(&quote!(#other).to_string())),
        }),
        Type::ImplTrait(_) => Some("one type, since it is decoded from the wire".to_owned()),
        _ => None,
    }
}

fn check_return(kind: Kind, signature: &Signature) -> syn::Result<Type> {
    match &signature.output {
        ReturnType::Type(_, ty) => match &**ty {
            Type::ImplTrait(found) => {
                Err(wrong(kind, signature, found.span(), "the result is one type, since it is encoded for the wire"))
            }
            Type::Path(_) => Ok((**ty).clone()),
            other => Err(wrong(kind, signature, other.span(), &format!("{} returns a `Result`", kind.with_article()))),
        },
        ReturnType::Default => {
            Err(wrong(kind, signature, signature.ident.span(), &format!("{} returns a `Result`", kind.with_article())))
        }
    }
}

/// `T` of something called `Result<T, ...>`.
fn result_inside(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident.to_string().ends_with("Result"))?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inside) => Some(inside),
        _ => None,
    }
}
