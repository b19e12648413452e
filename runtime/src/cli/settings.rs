//! Everything a person can set: by a flag, by a variable of the process, or in a file; in this order, the first counts.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::ServerError;
use crate::admin::{self, AdminKeys};

/// The file that is read when none is named and it is there.
const FILE: &str = "syncline.toml";

/// What the server and the tools for its data share. Each is also a line of the file, under the flag's name.
#[derive(Args)]
#[group(id = "place")]
pub(super) struct PlaceFlags {
    /// File with settings, in TOML: the flags below without their dashes, `port = 3210`. Flags and variables count more.
    /// [default: syncline.toml, if it is there]
    #[arg(long, env = "SYNCLINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the database and the credentials; made when it is missing. [default: data]
    #[arg(long, env = "SYNCLINE_DATA", value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Name of this deployment, as tools show it and admin keys begin with. Kept in the data folder. [default: syncline]
    #[arg(long, env = "INSTANCE_NAME", value_name = "NAME")]
    instance_name: Option<String>,
    /// What admin keys are made of: 64 hex digits. Made once and kept in the data folder when it is not set.
    #[arg(long, env = "INSTANCE_SECRET", value_name = "HEX", hide_env_values = true)]
    instance_secret: Option<String>,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) data: Option<PathBuf>,
    pub(super) instance_name: Option<String>,
    pub(super) instance_secret: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) host: Option<String>,
    pub(super) production: Option<bool>,
    pub(super) cloud_origin: Option<String>,
    pub(super) site_origin: Option<String>,
    pub(super) disable_metrics_endpoint: Option<bool>,
    pub(super) log: Option<String>,
}

impl File {
    /// Reads a file; the error names it, the line and the key.
    fn read(path: &Path) -> Result<Self, ServerError> {
        let fault = |cause: String| ServerError::Settings { file: path.display().to_string(), cause };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        toml::from_str(&text).map_err(|error| fault(error.to_string().trim_end().to_owned()))
    }
}

/// Whose data and whose keys.
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) instance_name: String,
    pub(super) keys: AdminKeys,
}

impl PlaceFlags {
    /// What the file says.
    pub(super) fn file(&self) -> Result<File, ServerError> {
        match &self.config {
            Some(path) => File::read(path),
            None if Path::new(FILE).is_file() => File::read(Path::new(FILE)),
            None => Ok(File::default()),
        }
    }

    /// Makes the data folder and what is kept in it when they are missing.
    pub(super) fn open(&self, file: &File) -> Result<Place, ServerError> {
        let data = self.data.clone().or_else(|| file.data.clone()).unwrap_or_else(|| PathBuf::from("data"));
        std::fs::create_dir_all(&data)?;
        let given = self.instance_name.as_deref().or(file.instance_name.as_deref());
        let instance_name = admin::instance_name(given, &data)?;
        let keys = match self.instance_secret.as_deref().or(file.instance_secret.as_deref()) {
            Some(secret) => AdminKeys::from_hex(instance_name.clone(), secret)?,
            None => AdminKeys::open(instance_name.clone(), &data)?,
        };
        Ok(Place { data, instance_name, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("syncline.toml");
        std::fs::write(&path, text).expect("it is written");
        File::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_read() {
        let file = read("port = 4000\ncloud-origin = \"https://chat.example.com\"\n").expect("a good file");
        assert_eq!((file.port, file.cloud_origin.as_deref()), (Some(4000), Some("https://chat.example.com")));
    }

    #[test]
    fn a_mistake_is_told_with_file_line_and_key() {
        for (text, parts) in [
            ("port = 4000\nprot = 1\n", ["syncline.toml", "line 2", "prot"]),
            ("host = \"x\"\n\nport = \"many\"\n", ["syncline.toml", "line 3", "port"]),
            ("port = 70000\n", ["syncline.toml", "line 1", "port"]),
            ("port = \n", ["syncline.toml", "line 1", "port"]),
        ] {
            let error = read(text).expect_err("a mistake");
            for part in parts {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }
}
