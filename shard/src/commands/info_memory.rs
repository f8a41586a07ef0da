//! INFO's figures about memory.

use std::fmt::Write;

use config::Config;
use engine::ledger::Ledger;

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
        peak_unix_s,
        startup,
        held,
        resident,
        overhead,
        dataset,
        scripts,
        functions,
        ..
    } = footprint;
    let of_scripts = scripts.bytes as u64 + functions.bytes;
    let machines = parts.machines_bytes + parts.machines_functions_bytes;
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
        ("used_memory_peak_time", peak_unix_s),
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
        // mimalloc does not tell which of its pages hold blocks: all that are in RAM count as
        // active.
        ("allocator_active", held),
        ("allocator_resident", held),
        ("allocator_muzzy", &0),
        ("total_system_memory", &total),
        ("total_system_memory_human", &human(total)),
        ("used_memory_lua", &parts.machines_bytes),
        ("used_memory_vm_eval", &parts.machines_bytes),
        ("used_memory_lua_human", &human(parts.machines_bytes)),
        ("used_memory_scripts_eval", &scripts.bytes),
        ("number_of_cached_scripts", &scripts.scripts),
        ("number_of_functions", &functions.functions),
        ("number_of_libraries", &functions.libraries),
        // The same machines run both: this is what libraries take in them.
        ("used_memory_vm_functions", &parts.machines_functions_bytes),
        ("used_memory_vm_total", &machines),
        ("used_memory_vm_total_human", &human(machines)),
        ("used_memory_functions", &functions.bytes),
        ("used_memory_scripts", &of_scripts),
        ("used_memory_scripts_human", &human(of_scripts)),
        ("maxmemory", &config.maxmemory),
        ("maxmemory_human", &human(config.maxmemory as u64)),
        ("maxmemory_policy", &policy),
        ("allocator_frag_ratio", &times(*held, *used)),
        ("allocator_frag_bytes", &difference(*held, *used)),
        ("allocator_rss_ratio", &times(*held, *held)),
        ("allocator_rss_bytes", &0),
        ("rss_overhead_ratio", &times(*resident, *held)),
        ("rss_overhead_bytes", &difference(*resident, *held)),
        ("mem_fragmentation_ratio", &times(*resident, *used)),
        ("mem_fragmentation_bytes", &difference(*resident, *used)),
        ("mem_not_counted_for_evict", &0),
        ("mem_replication_backlog", &0),
        ("mem_total_replication_buffers", &0),
        ("mem_replica_full_sync_buffer", &0),
        ("mem_clients_slaves", &0),
        ("mem_clients_normal", &parts.clients_bytes),
        ("mem_cluster_links", &0),
        ("mem_aof_buffer", &parts.log_buffer_bytes),
        ("mem_allocator", &"mimalloc"),
        // Tables grow by a segment at a time.
        ("mem_overhead_db_hashtable_rehashing", &0),
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
