//! Frame in, frame out, over a real socket; and the HTTP API beside it.

mod admin;
mod auth;
mod connection;
mod embedded;
mod environment;
mod errors;
mod explain;
mod fuzz;
mod guards;
mod handshakes;
mod http;
mod identity;
mod issuer;
mod lifetime;
mod live;
mod logs;
mod overload;
mod pagination;
mod recording;
mod replay_command;
mod requests;
mod slow_readers;
mod storm;
mod surface;
mod tools;
