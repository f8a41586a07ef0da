//! What operators look at: the slow log, MONITOR, latencies, pauses, INFO, metrics, parameters.
//! Where Redis says what is to be seen, it is asked.

mod counts;
mod debug;
mod idle_policy;
mod info;
mod log_files;
mod log_lines;
mod logs;
mod memory;
mod metrics;
mod monitor;
mod parameters;
mod pause;
mod slow;
mod stats;

use std::time::Duration;

use tests::Options;
use tests::reply::Value;

const TIME_MAX: Duration = Duration::from_secs(10);

fn debuggable(shards: u16) -> Options {
    Options::shards(shards).flags("--enable-debug-command yes")
}

fn words(value: &Value) -> Vec<String> {
    let elements = value.elements().expect("a list");
    let text = |value: &Value| String::from_utf8_lossy(value.text()).into_owned();
    elements.iter().map(text).collect()
}
