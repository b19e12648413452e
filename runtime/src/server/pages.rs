//! Built pages beside the API: the files of one folder, and `index.html` for every address that a page makes up itself.

use std::path::Path;

use axum::Router;
use tower_http::services::{ServeDir, ServeFile};

/// Serves a folder.
pub(super) fn router(folder: &Path) -> Router {
    let index = folder.join("index.html");
    if !index.is_file() {
        tracing::warn!(folder = %folder.display(), "the page has not been built; `./run` builds it");
    }
    Router::new().fallback_service(ServeDir::new(folder).fallback(ServeFile::new(index)))
}
