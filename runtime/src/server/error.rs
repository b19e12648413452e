//! Why a server does not start.

/// Why a server did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {cause}. Is another server running there? Choose another port.")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] syncline_engine::OpenError),
    /// The storage cannot be opened.
    #[error(transparent)]
    Storage(#[from] syncline_engine::StorageError),
    /// The identity providers are not usable as they are configured.
    #[error("{}", .0.at_start())]
    Auth(#[from] crate::auth::ConfigError),
    /// The development issuer has no key.
    #[error(transparent)]
    DevIssuer(#[from] crate::auth::DevIssuerError),
    /// The file with settings cannot be used.
    #[error("the settings in {file} cannot be used: {cause}")]
    Settings {
        /// The file.
        file: String,
        /// What is wrong, with the line and the key.
        cause: String,
    },
    /// The instance secret is none.
    #[error(transparent)]
    Secret(#[from] crate::admin::BadSecret),
    /// The operating system refused threads or signals.
    #[error("the operating system refused: {0}")]
    System(#[from] std::io::Error),
}
