//! What the kernel says of the process: the names that every exporter of Prometheus has for it,
//! which dashboards know.

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::process::{Resource, getrlimit};

use crate::commands::info_cpu::CpuTime;
use crate::memory::footprint::resident_bytes;
use crate::process::Process;

impl CpuTime {
    /// In the two modes, as INFO tells it.
    pub(super) fn encode(self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "CPU time of the process, in user and in kernel mode";
        let mut family =
            encoder.encode_descriptor("cpu_seconds", help, None, MetricType::Counter)?;
        for (mode, seconds) in [("user", self.user), ("system", self.system)] {
            family
                .encode_family(&[("mode", mode)])?
                .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        Ok(())
    }
}

/// The process as the system sees it.
#[derive(Debug)]
pub(super) struct OsProcess {
    cpu: CpuTime,
    open_files: u64,
    max_files: u64,
    resident_bytes: u64,
    started_unix_s: u64,
}

impl OsProcess {
    pub(super) fn of(process: &Process) -> Self {
        // Without the one that this look takes.
        let open = fs::read_dir("/proc/self/fd").map_or(0, |found| found.count().saturating_sub(1));
        Self {
            cpu: CpuTime::of_process(),
            open_files: open as u64,
            max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            resident_bytes: resident_bytes(),
            started_unix_s: process.started_unix_s,
        }
    }
}

impl Collector for OsProcess {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seconds = self.cpu.user + self.cpu.system;
        encoder
            .encode_descriptor(
                "process_cpu_seconds",
                "CPU time of the process",
                None,
                MetricType::Counter,
            )?
            .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        for (name, help, value) in [
            ("process_open_fds", "Open files", self.open_files),
            (
                "process_max_fds",
                "Files that may be open at once",
                self.max_files,
            ),
            (
                "process_resident_memory_bytes",
                "Memory of the process that is in RAM",
                self.resident_bytes,
            ),
            (
                "process_start_time_seconds",
                "When the process started, in Unix time",
                self.started_unix_s,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        Ok(())
    }
}
