//! Parsing of a function's signature. Each mistake is answered with the signature as it should be.

use quote::{ToTokens, quote};
use syn::{FnArg, GenericArgument, ItemFn, Pat, PatType, PathArguments, ReturnType, Signature, Type, TypePath};

use crate::codec::Field;
use crate::names::{Spelling, check_identifier};

/// Most parameters of a function beside its context: as many as the tuples of nested calls have.
const PARAMETERS_MAX: usize = 12;

/// Most guards of a function; a tuple of guards is one.
const GUARDS_MAX: usize = 2;

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
    /// The types of the guards, which stand between the context and the arguments.
    pub(crate) guards: Vec<Type>,
    /// The arguments, in the order of the declaration.
    pub(crate) parameters: Vec<Field>,
    /// The `Result` that it returns.
    pub(crate) returned: Type,
}

/// Checks the signature of a function of `kind`, whose parameters are spelled by `spelling` on the wire.
pub(crate) fn check(kind: Kind, spelling: Spelling, item: &ItemFn) -> syn::Result<Checked> {
    let signature = &item.sig;
    check_qualifiers(kind, signature)?;
    check_context(kind, signature)?;
    let (mut guards, mut parameters) = (Vec::new(), Vec::new());
    for argument in signature.inputs.iter().skip(1) {
        let FnArg::Typed(argument) = argument else { continue };
        match guard_type(&argument.ty) {
            None => parameters.push(check_parameter(kind, signature, spelling, argument)?),
            Some(_) if !parameters.is_empty() => {
                let problem = "guards stand between the context and the arguments";
                return Err(wrong(kind, signature, argument, problem));
            }
            Some(guard) => guards.push(guard.clone()),
        }
    }
    if guards.len() > GUARDS_MAX {
        let text = format!("{} guards, at most {GUARDS_MAX}: a tuple of guards is one", guards.len());
        return Err(syn::Error::new_spanned(&signature.inputs, text));
    }
    if parameters.len() > PARAMETERS_MAX {
        let text = format!(
            "{} parameters, at most {PARAMETERS_MAX}: gather them in a struct with derive(Object)",
            parameters.len()
        );
        return Err(syn::Error::new_spanned(&signature.inputs, text));
    }
    Ok(Checked { guards, parameters, returned: check_return(kind, signature)? })
}

/// The message `problem`, followed by the signature as it should be.
fn wrong(kind: Kind, signature: &Signature, at: &dyn ToTokens, problem: &str) -> syn::Error {
    let name = &signature.ident;
    let is_guard = |argument: &&FnArg| matches!(argument, FnArg::Typed(argument) if guard_type(&argument.ty).is_some());
    let (guards, arguments): (Vec<_>, Vec<_>) = signature.inputs.iter().partition(is_guard);
    let in_order = guards.into_iter().chain(arguments);
    let parameters: String = in_order.filter_map(|argument| right_parameter(signature, argument)).collect();
    let returned = match &signature.output {
        ReturnType::Type(_, ty) if result_inside(ty).is_some() => tidy(&quote!(#ty).to_string()),
        ReturnType::Type(_, ty) => format!("Result<{}>", tidy(&quote!(#ty).to_string())),
        ReturnType::Default => "Result<()>".to_owned(),
    };
    syn::Error::new_spanned(
        at,
        format!(
            "{problem}\n\nlike this:\n\n    #[{}]\n    async fn {name}(ctx: &{}{parameters}) -> {returned}",
            kind.attribute(),
            kind.context(),
        ),
    )
}

/// `, name: Type`, as a parameter should be; `None` for the context and `self`.
fn right_parameter(signature: &Signature, argument: &FnArg) -> Option<String> {
    let FnArg::Typed(PatType { pat, ty, .. }) = argument else { return None };
    if context_kind(ty).is_some() {
        return None;
    }
    let name = match &**pat {
        Pat::Ident(pattern) => pattern.ident.to_string(),
        _ => "argument".to_owned(),
    };
    let is_parameter =
        |path: &TypePath| signature.generics.type_params().any(|parameter| path.path.is_ident(&parameter.ident));
    let ty = match &**ty {
        Type::Path(path) if is_parameter(path) => "String".to_owned(),
        ty if guard_type(ty).is_some() => tidy(&quote!(#ty).to_string()),
        ty => owned_form(ty).unwrap_or_else(|| tidy(&quote!(#ty).to_string())),
    };
    Some(format!(", {name}: {ty}"))
}

/// Token streams print with spaces between all tokens; people do not write so.
fn tidy(tokens: &str) -> String {
    tokens.replace(" < ", "<").replace(" >", ">").replace(" :: ", "::").replace(" ,", ",").replace("& ", "&")
}

fn check_qualifiers(kind: Kind, signature: &Signature) -> syn::Result<()> {
    let wrong = |at: &dyn ToTokens, problem: &str| Err(wrong(kind, signature, at, problem));
    let a = kind.with_article();
    if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
        return wrong(receiver, &format!("{a} is a free function, without `self`"));
    }
    if let Some(token) = &signature.unsafety {
        return wrong(token, &format!("{a} is not `unsafe`"));
    }
    if let Some(token) = &signature.abi {
        return wrong(token, &format!("{a} has no `extern`"));
    }
    if let Some(token) = &signature.variadic {
        return wrong(token, &format!("{a} has named parameters only"));
    }
    if let Some(parameter) = signature.generics.params.first() {
        let problem = format!("{a} is one function on the wire, so it has no type parameters and no lifetimes");
        return wrong(parameter, &problem);
    }
    if signature.asyncness.is_none() {
        return wrong(&signature.fn_token, &format!("{a} is an `async fn`"));
    }
    Ok(())
}

fn check_context(kind: Kind, signature: &Signature) -> syn::Result<()> {
    let expected = format!("the first parameter of {} is its context, `&{}`", kind.with_article(), kind.context());
    let Some(FnArg::Typed(first)) = signature.inputs.first() else {
        return Err(wrong(kind, signature, &signature.ident, &expected));
    };
    match context_kind(&first.ty) {
        Some((found, true)) if found == kind => Ok(()),
        Some((found, true)) => {
            let problem = format!("{expected}; `{}` is the context of {}", found.context(), found.with_article());
            Err(wrong(kind, signature, &first.ty, &problem))
        }
        Some((_, false)) => {
            let problem = format!("{expected}: borrowed, neither owned nor `&mut`");
            Err(wrong(kind, signature, &first.ty, &problem))
        }
        None => Err(wrong(kind, signature, &first.ty, &expected)),
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

fn check_parameter(kind: Kind, signature: &Signature, spelling: Spelling, argument: &PatType) -> syn::Result<Field> {
    let PatType { pat, ty, .. } = argument;
    let ident = match &**pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => pattern.ident.clone(),
        other => {
            let problem = "parameters are the arguments by name: name it, and take it apart inside the function";
            return Err(wrong(kind, signature, other, problem));
        }
    };
    if owned_form(ty).is_some() {
        return Err(wrong(kind, signature, ty, "arguments are owned values of one type, decoded from the wire"));
    }
    let wire = spelling.apply(&ident);
    check_identifier(&wire, "the wire name of an argument", ident.span())?;
    Ok(Field { ident, wire, ty: (**ty).clone() })
}

/// The guard that a borrowed parameter is. What can only be an argument is none, however it is written.
fn guard_type(ty: &Type) -> Option<&Type> {
    let Type::Reference(reference) = ty else { return None };
    if reference.mutability.is_some() || reference.lifetime.is_some() || context_kind(ty).is_some() {
        return None;
    }
    match &*reference.elem {
        Type::Path(path) if path.path.is_ident("str") || (is_plain_value(path) && !is_option(path)) => None,
        guard @ (Type::Path(_) | Type::Tuple(_)) => Some(guard),
        _ => None,
    }
}

/// Whether it is an `Option`, which guards can be, too.
fn is_option(path: &TypePath) -> bool {
    path.path.segments.last().is_some_and(|last| last.ident == "Option")
}

/// What to write instead of a type that an argument cannot have; `None` when it may.
fn owned_form(ty: &Type) -> Option<String> {
    match ty {
        Type::Reference(reference) => Some(match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
            Type::Slice(slice) => {
                let element = &slice.elem;
                format!("Vec<{}>", tidy(&quote!(#element).to_string()))
            }
            other => tidy(&quote!(#other).to_string()),
        }),
        Type::ImplTrait(_) => Some("String".to_owned()),
        _ => None,
    }
}

fn check_return(kind: Kind, signature: &Signature) -> syn::Result<Type> {
    match &signature.output {
        ReturnType::Type(_, ty) => match &**ty {
            Type::ImplTrait(found) => {
                Err(wrong(kind, signature, found, "the result is one type, since it is encoded for the wire"))
            }
            Type::Path(path) if is_plain_value(path) => {
                Err(wrong(kind, signature, ty, &format!("{} returns a `Result`", kind.with_article())))
            }
            Type::Path(_) => Ok((**ty).clone()),
            other => Err(wrong(kind, signature, other, &format!("{} returns a `Result`", kind.with_article()))),
        },
        ReturnType::Default => {
            Err(wrong(kind, signature, &signature.ident, &format!("{} returns a `Result`", kind.with_article())))
        }
    }
}

/// Whether a type is surely no `Result`. Others may be, under a name of the application's own.
fn is_plain_value(path: &TypePath) -> bool {
    const VALUES: [&str; 11] =
        ["Vec", "Option", "String", "bool", "f64", "i64", "Doc", "Id", "BTreeMap", "Value", "PaginationResult"];
    path.path.segments.last().is_some_and(|last| VALUES.iter().any(|value| last.ident == value))
}

/// `T` of something called `Result<T, ...>`.
fn result_inside(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(inside) => Some(inside),
        _ => None,
    }
}
