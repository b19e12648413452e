//! Who a call is made by, as the server knows it.

use std::sync::Arc;

use syncline_functions::auth::UserIdentity;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nobody is signed in.
    Anonymous,
    /// A user with a verified token.
    User(Arc<UserIdentity>),
    /// Someone who holds the deployment's admin key.
    Admin,
    /// An administrator who sees what a user would see.
    ActingAs(Arc<UserIdentity>),
}

impl Identity {
    /// What functions see; administrators by themselves are nobody.
    pub fn user(&self) -> Option<&Arc<UserIdentity>> {
        match self {
            Identity::User(user) | Identity::ActingAs(user) => Some(user),
            Identity::Anonymous | Identity::Admin => None,
        }
    }

    /// Whether internal functions may be called.
    pub fn is_admin(&self) -> bool {
        match self {
            Identity::Admin | Identity::ActingAs(_) => true,
            Identity::Anonymous | Identity::User(_) => false,
        }
    }
}
