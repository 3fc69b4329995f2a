//! The process table: who is whose parent.

use std::process::{Command, Stdio};
use std::{fs, io};

use rustix::process::Pid;

/// A process and its parent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Row {
    pub(super) process: Pid,
    pub(super) parent: Pid,
}

/// The children of `ancestor`, their children, and so on.
pub(super) fn descendants(ancestor: Pid, table: &[Row]) -> Vec<Pid> {
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(table.iter().filter(|row| row.parent == parent).map(|row| row.process));
        next += 1;
    }
    found.split_off(1)
}

/// Everything that runs now.
pub(super) fn read() -> io::Result<Vec<Row>> {
    if cfg!(target_os = "linux") { read_proc() } else { read_ps() }
}

fn read_proc() -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process that has ended since has no file any more.
        let stat = entry.and_then(|entry| fs::read_to_string(entry.path().join("stat")));
        rows.extend(stat.ok().as_deref().and_then(parse_stat));
    }
    Ok(rows)
}

fn read_ps() -> io::Result<Vec<Row>> {
    let ps = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).stdout(Stdio::piped()).spawn()?;
    let itself = Pid::from_child(&ps);
    let listing = ps.wait_with_output()?.stdout;
    let rows = String::from_utf8_lossy(&listing);
    let rows = rows.lines().filter_map(|line| parse_row(line.split_whitespace()));
    Ok(rows.filter(|row| row.process != itself).collect())
}

/// `pid (name) state ppid …` of proc(5). The name may hold anything, parentheses too.
fn parse_stat(stat: &str) -> Option<Row> {
    let (process, rest) = stat.split_once(' ')?;
    let (_, rest) = rest.rsplit_once(") ")?;
    parse_row([process, rest.split(' ').nth(1)?].into_iter())
}

fn parse_row<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Row> {
    let mut pid = || fields.next()?.parse().ok().and_then(Pid::from_raw);
    Some(Row { process: pid()?, parent: pid()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    fn row(process: i32, parent: i32) -> Row {
        Row { process: pid(process), parent: pid(parent) }
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_its_line() {
        assert_eq!(parse_stat("42 (cargo) S 7 42 42 0 -1"), Some(row(42, 7)));
        assert_eq!(parse_stat("42 (a) S 1 ) S 7 42 42 0 -1"), Some(row(42, 7)));
        assert_eq!(parse_stat("1 (init) S 0 1 1"), None);
    }

    #[test]
    fn descendants_are_found_whatever_their_order() {
        let table = [row(30, 20), row(20, 10), row(10, 1), row(21, 10), row(40, 1)];
        assert_eq!(descendants(pid(10), &table), [pid(20), pid(21), pid(30)]);
        assert_eq!(descendants(pid(40), &table), []);
    }
}
