//! Where a server keeps its data while something is wrong with it: a file system of its own, limits on its files.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::note;

/// A small file system in memory, which only processes that enter it see. It is gone when this is dropped.
pub struct Volume {
    holder: Child,
    folder: TempDir,
}

impl Volume {
    /// Makes one of some MiB; `None` where this user may not, which is said.
    pub fn mount(mib: u64) -> Option<Volume> {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!("mount -t tmpfs -o size={mib}m volume \"$0\" && echo mounted && exec cat");
        let holder = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = holder else {
            note("skipped: there is no `unshare` to make a file system with");
            return None;
        };
        let mut line = String::new();
        let read = BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line);
        let volume = Volume { holder, folder };
        if read.is_err() || line.trim() != "mounted" {
            note("skipped: this user may not make a file system (it takes user namespaces, or root)");
            return None;
        }
        Some(volume)
    }

    /// Where processes inside find it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same command, inside.
    pub fn inside(&self, command: &Command) -> Command {
        let holder = self.holder.id().to_string();
        within("nsenter", &["--user", "--preserve-credentials", "--mount", "--target", &holder], command)
    }

    /// A file of it, from outside.
    pub fn file(&self, name: &str) -> PathBuf {
        let inside = self.folder.path().strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(name)
    }

    /// Takes all the space there is.
    pub fn fill(&self) {
        let mut ballast = File::create(self.file("ballast")).expect("a file");
        let page = [0; 4096];
        loop {
            match ballast.write_all(&page) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives it back.
    pub fn empty(&self) {
        fs::remove_file(self.file("ballast")).expect("the ballast is there");
    }

    /// Mounts it anew: `ro` or `rw`.
    pub fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(self.path());
        let status = self.inside(&mount).status().expect("mount starts");
        assert!(status.success(), "remount {how}: {status}");
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The same command in a process that is told when a file may not grow, instead of being killed for it.
pub fn told_of_limits(command: &Command) -> Command {
    within("sh", &["-c", r#"trap "" XFSZ; exec "$@""#, "sh"], command)
}

/// A program that runs a command.
fn within(program: &str, args: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.args(args).arg(command.get_program()).args(command.get_args());
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

/// Forbids a process to write any file beyond a size, or allows it again.
pub fn limit_files(process: u32, bytes: Option<u64>) {
    let size = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let limit = format!("--fsize={size}:unlimited");
    let status: ExitStatus =
        Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status().expect("prlimit starts");
    assert!(status.success(), "prlimit {limit}: {status}");
}

/// Makes one sync of a process fail. Ends when it is dropped.
pub struct FailingSync {
    tracer: Child,
    /// Kept open for what the tracer still says.
    _said: BufReader<ChildStderr>,
}

impl FailingSync {
    /// The next sync of each thread fails, and those behind it do not; `None` where processes may not be traced, which
    /// is said.
    pub fn attach(process: u32) -> Option<FailingSync> {
        let tracer = Command::new("strace")
            .args(["-f", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when=1", "-p"])
            .arg(process.to_string())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut tracer) = tracer else {
            note("skipped: there is no `strace` to make a sync fail with");
            return None;
        };
        let mut said = BufReader::new(tracer.stderr.take().expect("a pipe"));
        let mut line = String::new();
        let read = said.read_line(&mut line);
        let failing = FailingSync { tracer, _said: said };
        if read.is_err() || !line.contains("attached") {
            note(&format!("skipped: this user may not trace a process: {}", line.trim()));
            return None;
        }
        Some(failing)
    }
}

impl Drop for FailingSync {
    fn drop(&mut self) {
        let _ = self.tracer.kill();
        let _ = self.tracer.wait();
    }
}
