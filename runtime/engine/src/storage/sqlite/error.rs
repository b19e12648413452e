//! What SQLite says, as a [`StorageError`].

use rusqlite::ErrorCode;
use rusqlite::types::Type;

use crate::storage::StorageError;

pub(super) fn of_sqlite(error: rusqlite::Error) -> StorageError {
    let what = match error.sqlite_error() {
        Some(found) => format!("{error} (SQLite's code {})", found.extended_code),
        None => error.to_string(),
    };
    if error.sqlite_error().is_some_and(|found| found.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
        // The index beside SQLite's log could not be made larger: what it takes is space.
        return StorageError::Full { what };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full { what },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StorageError::ReadOnly { what }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Corrupt { what },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Busy { what },
        _ => match error {
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                StorageError::Corrupt { what }
            }
            _ => StorageError::Io { what },
        },
    }
}

/// What was found is not what can be there.
pub(super) fn damaged(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, what.into())
}
