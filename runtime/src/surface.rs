//! What a server answers, and to whom: for tests of what strangers reach.

use syncline_functions::registry::Registry;

use crate::{net, system};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the server; what a call may do is decided for each call.
    Anyone,
    /// Those who send an admin key. Everybody else gets 403.
    Administrators,
}

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST` or [`Route::ANY`].
    pub method: &'static str,
    /// Its path; what is in braces stands for one part, with a star for any number of them.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

impl Route {
    /// Stands for every method.
    pub const ANY: &'static str = "ANY";
}

/// The routes of the API, as the server itself has them.
pub fn routes() -> Vec<Route> {
    net::api_routes()
}

/// The functions of the server itself, under `_system/`; for administrators only.
pub fn functions() -> Registry {
    system::registry()
}
