//! Prometheus's text format 0.0.4, out of the OpenMetrics text that the library writes.
//!
//! The two differ little: the older one names a family as its samples are named (a counter with
//! `_total`, an info with `_info`, which is a gauge there), and has neither units nor a line for
//! the end.

use std::fmt::Write;

/// `open`, an exposition in OpenMetrics, in the older format.
pub fn from_open_metrics(open: &str) -> String {
    let mut plain = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        let words = line.splitn(4, ' ').collect::<Vec<_>>();
        // Writing to a string cannot fail.
        let _ = match *words {
            ["#", "HELP", _, text] => {
                help = text;
                Ok(())
            }
            ["#", "TYPE", family, kind] => {
                let (end, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "stateset" => ("", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                writeln!(
                    plain,
                    "# HELP {family}{end} {help}\n# TYPE {family}{end} {kind}"
                )
            }
            ["#", ..] => Ok(()),
            _ => writeln!(plain, "{line}"),
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_samples() {
        let open = "# HELP a_commands Commands, all of them\n# TYPE a_commands counter\na_commands_total{shard=\"0\"} 5\n\
            # HELP a_time_seconds Time\n# TYPE a_time_seconds gauge\n# UNIT a_time_seconds seconds\na_time_seconds 1.5\n\
            # HELP a_build What runs\n# TYPE a_build info\na_build_info{version=\"1 # 2\"} 1\n# EOF\n";
        let plain = "# HELP a_commands_total Commands, all of them\n# TYPE a_commands_total counter\na_commands_total{shard=\"0\"} 5\n\
            # HELP a_time_seconds Time\n# TYPE a_time_seconds gauge\na_time_seconds 1.5\n\
            # HELP a_build_info What runs\n# TYPE a_build_info gauge\na_build_info{version=\"1 # 2\"} 1\n";
        assert_eq!(from_open_metrics(open), plain);
    }
}
