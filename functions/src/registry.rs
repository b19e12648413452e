//! The functions of an application by path, with what tools and clients may know of each.

use std::any::TypeId;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use syncline_schema::{FunctionPath, PathError, Validator};

use crate::outgoing;
use crate::run::Run;

/// What a function may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// Reads in a transaction; live.
    Query,
    /// Reads and writes in a transaction.
    Mutation,
    /// Anything, outside of transactions.
    Action,
}

impl FunctionKind {
    /// `a query`, for messages.
    pub fn with_article(self) -> &'static str {
        match self {
            FunctionKind::Query => "a query",
            FunctionKind::Mutation => "a mutation",
            FunctionKind::Action => "an action",
        }
    }
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Any client.
    Public,
    /// Other functions and administrators; to everyone else it looks missing.
    Internal,
}

/// Why a function gave no result; decided here what a client may read.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionError {
    /// The text behind `[Request ID: …] Server Error` and a newline, with its own trailing newline:
    /// `Uncaught Error: no\n`. Left out when errors are redacted.
    pub message: String,
    /// Data for the client, wire JSON; never redacted. Present exactly for an application's own error with data.
    pub data: Option<String>,
}

/// A function as the executor runs it: takes the run and the arguments as the wire has them (an object, or an
/// array of one object), answers the result as wire JSON.
pub type Handler = fn(Arc<Run>, Arc<str>) -> BoxFuture<'static, Result<String, FunctionError>>;

/// One function.
#[derive(Clone)]
pub struct Function {
    /// Where clients find it.
    pub path: FunctionPath,
    /// What it may do.
    pub kind: FunctionKind,
    /// Who may call it.
    pub visibility: Visibility,
    /// What its arguments must be: an object.
    pub args: Validator,
    /// What its result is.
    pub returns: Validator,
    /// Its doc comment.
    pub docs: &'static str,
    /// Its code.
    pub handler: Handler,
}

/// All functions of an application.
#[derive(Clone, Default)]
pub struct Registry {
    functions: BTreeMap<FunctionPath, Function>,
    by_key: HashMap<TypeId, Registered>,
}

/// How a function is found by the Rust function that it is.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) path: FunctionPath,
    /// The names of its arguments on the wire, in the order of the declaration.
    pub(crate) parameters: &'static [&'static str],
}

impl Registry {
    /// The function at a path.
    pub fn find(&self, path: &FunctionPath) -> Option<&Function> {
        self.functions.get(path)
    }

    /// All functions, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.functions.values()
    }

    /// Adds a function.
    ///
    /// # Errors
    /// [`RegistryError::Duplicate`] when its path is taken.
    pub fn insert(&mut self, function: Function) -> Result<(), RegistryError> {
        match self.functions.entry(function.path.clone()) {
            Entry::Occupied(_) => Err(RegistryError::Duplicate { path: function.path.short() }),
            Entry::Vacant(vacant) => {
                vacant.insert(function);
                Ok(())
            }
        }
    }

    /// Adds a function as `functions![]` names it: the segments of its Rust path.
    pub(crate) fn insert_definition<D: Definition>(&mut self, segments: &[&str]) -> Result<(), RegistryError> {
        let path = path_of(segments, D::NAME)?;
        let signature = D::signature();
        self.insert(Function {
            path: path.clone(),
            kind: D::KIND,
            visibility: D::VISIBILITY,
            args: signature.args.clone(),
            returns: signature.returns.clone(),
            docs: D::DOCS,
            handler: D::handler,
        })?;
        self.by_key.insert(D::key(), Registered { path, parameters: D::PARAMETERS });
        Ok(())
    }

    /// Finds a function by the type of the Rust function.
    pub(crate) fn registered(&self, key: TypeId) -> Option<&Registered> {
        self.by_key.get(&key)
    }
}

/// The path on the wire of `a::b::c`: `a/b:c`. `crate`, `self` and `super` say nothing to clients.
fn path_of(segments: &[&str], name: &str) -> Result<FunctionPath, RegistryError> {
    let named = |segment: &&&str| !matches!(**segment, "crate" | "self" | "super");
    let modules = segments.split_last().map_or(&[][..], |(_, modules)| modules);
    let modules: Vec<&str> = modules.iter().filter(named).map(|segment| segment.trim_start_matches("r#")).collect();
    if modules.is_empty() {
        return Err(RegistryError::NoModule { function: segments.join("::") });
    }
    let path = format!("{}:{name}", modules.join("/"));
    FunctionPath::parse(&path).map_err(|cause| RegistryError::Path { path, cause })
}

/// Why a function cannot be registered.
#[derive(Clone, Debug)]
pub enum RegistryError {
    /// Another function has the path.
    Duplicate {
        /// The path, in its short form.
        path: String,
    },
    /// The function was named without a module, which is the first part of its path on the wire.
    NoModule {
        /// As it was named.
        function: String,
    },
    /// The path is none on the wire.
    Path {
        /// The path.
        path: String,
        /// The rule that it breaks.
        cause: PathError,
    },
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::Duplicate { path } => write!(
                f,
                "two functions are registered as `{path}`; give one of them another name, for example with \
                 #[query(name = \"...\")]"
            ),
            RegistryError::NoModule { function } => write!(
                f,
                "`{function}` is registered without its module; clients call `module:function`, so put it in a module \
                 and write functions![module::{function}]"
            ),
            RegistryError::Path { path, cause } => write!(f, "`{path}` cannot be the path of a function: {cause}"),
        }
    }
}

impl std::error::Error for RegistryError {}

/// What `#[query]`, `#[mutation]` and `#[action]` know of a function.
///
/// They implement it for the uninhabited type that they put beside the function, under the same name.
pub trait Definition: 'static {
    /// The last part of its path.
    const NAME: &'static str;
    /// What it may do.
    const KIND: FunctionKind;
    /// Who may call it.
    const VISIBILITY: Visibility;
    /// Its doc comment.
    const DOCS: &'static str;
    /// The names of its arguments on the wire, in the order of the declaration.
    const PARAMETERS: &'static [&'static str];

    /// The type of the Rust function, by which calls from other functions find it.
    fn key() -> TypeId;

    /// What it takes and returns.
    fn signature() -> &'static Signature;

    /// Runs it.
    fn handler(run: Arc<Run>, arguments: Arc<str>) -> BoxFuture<'static, Result<String, FunctionError>>;
}

/// What a function takes and returns.
#[derive(Debug)]
pub struct Signature {
    pub(crate) args: Validator,
    pub(crate) returns: Validator,
    /// Whether the arguments hold ids, whose tables decoding cannot check.
    pub(crate) args_have_ids: bool,
    /// Whether a result can break a rule that its type does not know.
    pub(crate) returns_are_open: bool,
}

impl Signature {
    /// From the two validators.
    pub fn new(args: Validator, returns: Validator) -> Self {
        let args_have_ids = args.has_ids();
        let returns_are_open = outgoing::is_open(&returns);
        Signature { args, returns, args_have_ids, returns_are_open }
    }
}
