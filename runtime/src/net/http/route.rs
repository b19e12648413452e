//! Routes as entries of a table: each says who may use it, so that a test can try them all.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::net::host::Host;
use crate::surface::{Access, Route};

/// A route with what answers it.
pub(super) struct Entry {
    pub(super) route: Route,
    handler: MethodRouter<Arc<Host>>,
}

type MakeMethods<H> = fn(H) -> MethodRouter<Arc<Host>>;

impl Entry {
    pub(super) fn get<H: Handler<T, Arc<Host>>, T: 'static>(access: Access, path: &'static str, handler: H) -> Self {
        Entry::new("GET", access, path, handler, routing::get)
    }

    pub(super) fn post<H: Handler<T, Arc<Host>>, T: 'static>(access: Access, path: &'static str, handler: H) -> Self {
        Entry::new("POST", access, path, handler, routing::post)
    }

    /// Whatever the method.
    pub(super) fn any<H: Handler<T, Arc<Host>>, T: 'static>(access: Access, path: &'static str, handler: H) -> Self {
        Entry::new(Route::ANY, access, path, handler, routing::any)
    }

    fn new<H>(method: &'static str, access: Access, path: &'static str, handler: H, methods: MakeMethods<H>) -> Self {
        Entry { route: Route { method, path, access }, handler: methods(handler) }
    }
}

/// The table as axum wants it.
pub(super) fn router(table: Vec<Entry>) -> Router<Arc<Host>> {
    table.into_iter().fold(Router::new(), |router, entry| router.route(entry.route.path, entry.handler))
}
