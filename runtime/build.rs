//! Takes the built dashboard into the binary: a table of its files, generated for `net::dashboard`.
//!
//! Nothing is built here, and nothing is missing without it: where `dashboard/dist` does not exist the table is empty,
//! and the server's page says how to build it.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("dashboard");
    let dist = folder.join("dist");
    // A watched path that does not exist would run this, and compile the crate, every time.
    let watched = if dist.is_dir() { &dist } else { &folder };
    println!("cargo::rerun-if-changed={}", watched.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut table = String::from("[\n");
    // Half a build, without the page itself, is none.
    if dist.join("index.html").is_file() {
        for path in files(&dist)? {
            write_entry(&mut table, &dist, &path)?;
        }
    }
    table.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")?).join("dashboard.rs"), table)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|cause| io::Error::other(format!("cargo sets {name}: {cause}")))
}

/// All files below a folder in a steady order; those that begin with a dot are the build's own.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if !entry.file_name().to_string_lossy().starts_with('.') {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn write_entry(table: &mut String, dist: &Path, path: &Path) -> io::Result<()> {
    let below = path.strip_prefix(dist).map_err(io::Error::other)?;
    let name = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(path)?);
    writeln!(
        table,
        "    File {{ name: {name:?}, content_type: {:?}, etag: \"\\\"{:016x}\\\"\", bytes: include_bytes!({:?}) }},",
        content_type(path)?,
        hasher.finish(),
        path.display().to_string(),
    )
    .map_err(io::Error::other)
}

/// The few kinds of file that the dashboard's build makes.
fn content_type(path: &Path) -> io::Result<&'static str> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => Ok("text/html; charset=utf-8"),
        Some("js") => Ok("text/javascript; charset=utf-8"),
        Some("css") => Ok("text/css; charset=utf-8"),
        Some("svg") => Ok("image/svg+xml"),
        _ => Err(io::Error::other(format!("{} is of a kind that build.rs knows no content type of", path.display()))),
    }
}
