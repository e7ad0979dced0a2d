//! CPU time and memory of a process, its threads and its children, by the kernel's accounting.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

/// Returns the CPU time of a process, its threads and its children, in nanoseconds.
///
/// Reads `/proc/PID/task/*/schedstat`, which is exact; `stat` has a resolution of 10 ms. The time of a thread that has
/// exited is lost, but no peer's workers exit under load.
pub(crate) fn time(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for pid in process_tree(pid) {
        sum += threads(pid)?;
    }
    Ok(sum)
}

fn threads(pid: u32) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has exited"))?;
    let mut sum = 0;
    for task in tasks {
        let path = task?.path().join("schedstat");
        let Some(text) = read_if_present(&path)? else { continue };
        let first = text.split_whitespace().next().context("schedstat is empty")?;
        sum += first.parse::<u64>()?;
    }
    Ok(sum)
}

/// Returns the proportional set size of a process and its children, in bytes. Shared pages count once.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for pid in process_tree(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        sum += kib * 1024;
    }
    Ok(sum)
}

/// Returns the process and its descendants.
pub(crate) fn process_tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    all
}

/// Returns the content of a file, or `None` if its thread has exited.
fn read_if_present(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
