//! A share of one core for a process, as Lambda gives it: a quota of CPU time in each period of 20 ms.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Lambda's period. With a longer one, a process runs undisturbed for longer and then stops for longer.
const PERIOD_MICROSECONDS: u64 = 20_000;

/// Where the controller `cpu` is usually mounted, for version 1. Version 2 has the last.
const ROOTS: [&str; 3] = [
    "/sys/fs/cgroup/cpu",
    "/sys/fs/cgroup/cpu,cpuacct",
    "/sys/fs/cgroup",
];

/// A cgroup. A drop removes it; its processes must have ended.
#[derive(Debug)]
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// A new cgroup with a share of one core.
    ///
    /// # Errors
    ///
    /// The controller `cpu` cannot be used below any of the roots.
    pub(super) fn new(percent: u64) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for root in ROOTS.map(Path::new) {
            match Self::below(root, percent) {
                Ok(cgroup) => return Ok(cgroup),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn below(root: &Path, percent: u64) -> io::Result<Self> {
        let cgroup = Self(root.join(format!("bench-{}", std::process::id())));
        fs::create_dir(&cgroup.0)?;
        let quota = PERIOD_MICROSECONDS * percent / 100;
        if cgroup.0.join("cpu.cfs_quota_us").exists() {
            cgroup.write("cpu.cfs_period_us", &PERIOD_MICROSECONDS.to_string())?;
            cgroup.write("cpu.cfs_quota_us", &quota.to_string())?;
        } else {
            cgroup.write("cpu.max", &format!("{quota} {PERIOD_MICROSECONDS}"))?;
        }
        Ok(cgroup)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // It must not create a file: an ordinary directory is no cgroup.
        let mut file = fs::OpenOptions::new().write(true).open(self.0.join(file))?;
        io::Write::write_all(&mut file, text.as_bytes())
    }

    /// The file to which a process writes its id to join.
    pub(super) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // An empty directory that remains does no harm.
        let _ = fs::remove_dir(&self.0);
    }
}
