//! `schema![]` and `functions![]`.

/// All tables of an application: `schema![Message, users::User]`.
///
/// Panics at its start when two have the same name.
#[macro_export]
macro_rules! schema {
    ($($table:ty),* $(,)?) => {
        $crate::__macro::schema(::std::vec![$(<$table as $crate::__macro::Table>::definition()),*])
    };
}

/// All functions of an application that can be called by path: `functions![messages::list, messages::send]`.
///
/// `messages::list` is `messages:list` to clients, and `admin::rooms::list` is `admin/rooms:list`. Panics at the
/// application's start when two have the same path.
#[macro_export]
macro_rules! functions {
    ($($($segment:ident)::+),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut registry = $crate::__macro::Registry::default();
        $($crate::__macro::register::<$($segment)::+>(&mut registry, &[$(::core::stringify!($segment)),+]);)*
        registry
    }};
}
