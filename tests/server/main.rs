//! Frame in, frame out, over a real socket; and the HTTP API beside it.

mod auth;
mod connection;
mod errors;
mod http;
mod live;
mod pagination;
mod requests;
