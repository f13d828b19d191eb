//! CPU and memory of processes, the size of files, the speed of the disk, and the name of the machine, from `/proc`
//! (proc(5)).

use anyhow::{Context, Result};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// The ticks of a second in `/proc`: `USER_HZ`, which is 100 on every architecture that we build for.
const TICKS: f64 = 100.0;
/// The duration of a measurement of the disk.
const DISK: Duration = Duration::from_millis(300);

/// The CPU seconds of all processes since the start of each.
pub(super) struct Snapshot {
    pub(super) at: Instant,
    /// The seconds in which a core was busy, or was taken by the hypervisor.
    pub(super) machine: f64,
    /// The parent and the seconds of each process, those of its ended children included.
    processes: HashMap<u32, (u32, f64)>,
}

impl Snapshot {
    pub(super) fn take() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        // Without idle time (3) and waiting for the disk (4), and without guests (8 on), which user time includes.
        let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|field| ticks.get(*field)).sum::<f64>();
        let mut processes = HashMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // The process may have ended since.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let fields: Vec<u64> = stat
                .rsplit(") ")
                .next()
                .unwrap_or_default()
                .split(' ')
                .skip(1)
                .map(|word| word.parse().unwrap_or(0))
                .collect();
            if let [parent, ..] = fields.as_slice()
                && let Some(times) = fields.get(10..14)
            {
                processes.insert(id, (u32::try_from(*parent)?, times.iter().sum::<u64>() as f64 / TICKS));
            }
        }
        Ok(Self { at: Instant::now(), machine: busy / TICKS, processes })
    }

    /// Returns the seconds of a process and its ended children.
    pub(super) fn seconds_of(&self, id: u32) -> f64 {
        self.processes.get(&id).map_or(0.0, |(_, seconds)| *seconds)
    }

    /// Returns the seconds of a process and all its descendants.
    pub(super) fn seconds_below(&self, root: u32) -> f64 {
        let children = self.processes.iter().filter(|(_, (parent, _))| *parent == root);
        self.seconds_of(root) + children.map(|(id, _)| self.seconds_below(*id)).sum::<f64>()
    }
}

/// Returns the CPU seconds of a process since its start, to the nanosecond. Threads that have ended do not count.
pub(super) fn exact_seconds(id: u32) -> Result<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        nanos += times.split(' ').next().and_then(|spent| spent.parse::<f64>().ok()).unwrap_or_default();
    }
    Ok(nanos / 1e9)
}

/// Returns the resident memory of a process in MiB, now (`VmRSS`) or at its peak (`VmHWM`).
pub(super) fn memory_mib(id: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).context("no such field")?;
    Ok(kib / 1024.0)
}

/// Returns the bytes of all files in a folder and below.
pub(super) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Returns how many appends of so many bytes a second this folder's disk makes durable, one after the other.
pub(super) fn durable_appends(folder: &Path, bytes: usize) -> Result<f64> {
    let path = folder.join("appends");
    let mut file = fs::File::create(&path)?;
    let (data, began) = (vec![b'x'; bytes], Instant::now());
    let mut appends = 0;
    while began.elapsed() < DISK {
        file.write_all(&data)?;
        file.sync_data()?;
        appends += 1;
    }
    let per_s = f64::from(appends) / began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(per_s)
}

/// Returns the processor, the number of cores, and the memory of this machine.
pub(super) fn machine() -> Result<String> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let model = model.map_or("an unnamed processor", |(_, model)| model);
    Ok(format!("{model}, {cores} cores, {} GiB, Linux {}", kib / 1024 / 1024, kernel.trim()))
}
