//! What SQLite and the system say, as a [`StorageError`].

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::storage::StorageError;

pub(super) fn of_file(path: &Path, error: &io::Error) -> StorageError {
    let what = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { what },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { what },
        _ => StorageError::Io { what },
    }
}

pub(super) fn of_sqlite(error: rusqlite::Error) -> StorageError {
    let what = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::Full { what },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StorageError::ReadOnly { what }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Corrupt { what },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Locked { what },
        _ => match error {
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                StorageError::Corrupt { what }
            }
            _ => StorageError::Io { what },
        },
    }
}
