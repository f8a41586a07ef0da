//! INFO's figures about memory.

use std::fmt::Write;

use crate::config::Config;
use crate::memory::Ledger;
use crate::memory::footprint::{Footprint, difference, machine_bytes, ratio};

/// The lines of the section.
pub fn write(
    footprint: &Footprint,
    config: &Config,
    ledger: &Ledger,
    out: &mut String,
) -> std::fmt::Result {
    let Footprint {
        parts,
        used,
        peak,
        startup,
        committed,
        resident,
        overhead,
        dataset,
        ..
    } = footprint;
    let (pending, freed) = ledger.lazily_freed();
    let total = machine_bytes();
    let policy = config.get("maxmemory-policy").unwrap_or_default();
    let percent = |value: f64| format!("{value:.2}%");
    let times = |part: u64, whole: u64| format!("{:.2}", ratio(part, whole));
    let lines: &[(&str, &dyn std::fmt::Display)] = &[
        ("used_memory", used),
        ("used_memory_human", &human(*used)),
        ("used_memory_rss", resident),
        ("used_memory_rss_human", &human(*resident)),
        ("used_memory_peak", peak),
        ("used_memory_peak_human", &human(*peak)),
        (
            "used_memory_peak_perc",
            &percent(100.0 * ratio(*used, *peak)),
        ),
        ("used_memory_overhead", overhead),
        ("used_memory_startup", startup),
        ("used_memory_dataset", dataset),
        (
            "used_memory_dataset_perc",
            &percent(footprint.dataset_percent()),
        ),
        ("allocator_allocated", used),
        ("allocator_active", committed),
        ("allocator_resident", committed),
        ("total_system_memory", &total),
        ("total_system_memory_human", &human(total)),
        ("maxmemory", &config.maxmemory),
        ("maxmemory_human", &human(config.maxmemory as u64)),
        ("maxmemory_policy", &policy),
        ("allocator_frag_ratio", &times(*committed, *used)),
        ("allocator_frag_bytes", &difference(*committed, *used)),
        ("rss_overhead_ratio", &times(*resident, *committed)),
        ("rss_overhead_bytes", &difference(*resident, *committed)),
        ("mem_fragmentation_ratio", &times(*resident, *used)),
        ("mem_fragmentation_bytes", &difference(*resident, *used)),
        ("mem_not_counted_for_evict", &0),
        ("mem_replication_backlog", &0),
        ("mem_total_replication_buffers", &0),
        ("mem_clients_slaves", &0),
        ("mem_clients_normal", &parts.clients_bytes),
        ("mem_cluster_links", &0),
        ("mem_aof_buffer", &parts.log_buffer_bytes),
        ("mem_allocator", &"mimalloc"),
        ("active_defrag_running", &0),
        ("lazyfree_pending_objects", &pending),
        ("lazyfreed_objects", &freed),
    ];
    for (name, value) in lines {
        write!(out, "{name}:{value}\r\n")?;
    }
    Ok(())
}

/// A size for people: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1536), "1.50K");
        assert_eq!(human(3 << 30), "3.00G");
        assert_eq!(human(u64::MAX), "16384.00P");
    }
}
