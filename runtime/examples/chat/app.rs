//! The tables and the functions of the chat.

use syncline::prelude::*;
use syncline::users;

use crate::messages;

/// A server with them; its page comes beside.
pub fn server() -> Server {
    let schema = schema![users::User, messages::Message];
    let functions = functions![
        users::store,
        users::current,
        users::list,
        users::me,
        users::set_roles,
        messages::list,
        messages::send,
        messages::remove,
    ];
    Server::new(schema, functions)
}
