//! LATENCY: what took long, and how long commands take. What is measured is in
//! [`crate::timing::latency`] and [`crate::timing`].

use std::fmt::Write;

use engine::error::Error;
use engine::histogram::Histogram;
use protocol::args::Args;
use protocol::reply::Reply;
use protocol::table::{CommandId, lookup_full};

use crate::client::Client;
use crate::commands::client::write_help;
use crate::dispatch::handler::Answer;
use crate::shard::Shard;
use crate::timing::latency::{Series, Spike, Spikes};

const HELP: &[&str] = &[
    "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    A report about spikes, for people.",
    "GRAPH <event>",
    "    The samples of an event, drawn.",
    "HISTORY <event>",
    "    The samples of an event, with their times.",
    "LATEST",
    "    The latest sample of each event.",
    "RESET [<event> ...]",
    "    Forget these events, or all.",
    "HISTOGRAM [<command> ...]",
    "    How many calls of each command took how long at most.",
    "HELP",
    "    Show this help.",
];

/// Bytes of an event's name that an error repeats at the most.
const ECHOED_BYTES_MAX: usize = 128;

/// Asks all shards for their spikes.
fn gather_spikes(
    shard: &mut Shard,
    client: &mut Client,
    finish: impl FnOnce(&mut Shard, Spikes, &mut Reply<'_>) -> Result<(), Error> + 'static,
) -> Answer {
    let visit = |shard: &mut Shard| shard.measured.spikes.clone();
    shard.gather(client, visit, move |shard, parts, reply| {
        let mut all = Spikes::default();
        parts.iter().for_each(|part| all.add(part));
        finish(shard, all, reply)
    })
}

/// `LATENCY LATEST`: of each event its name, when it last happened, how long it took then, and the
/// worst, in milliseconds.
pub fn latest(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(gather_spikes(shard, client, |_, spikes, reply| {
        let mark = reply.begin();
        let mut count = 0;
        for spike in Spike::ALL {
            if let Some(series) = spikes.series(spike)
                && let Some(last) = series.samples.back()
            {
                count += 1;
                reply.array(4);
                reply.bulk(spike.name().as_bytes());
                reply.integer(last.unix_s.cast_signed());
                reply.integer(last.ms.cast_signed());
                reply.integer(series.worst_ms.cast_signed());
            }
        }
        reply.finish_array(mark, count);
        Ok(())
    }))
}

/// `LATENCY HISTORY event`: time and milliseconds of each sample.
pub fn history(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let Some(spike) = Spike::named(&args[2]) else {
        reply.empty_array();
        return Ok(Answer::Now);
    };
    Ok(gather_spikes(shard, client, move |_, spikes, reply| {
        let samples = spikes.series(spike).map(|series| &series.samples);
        reply.array(samples.map_or(0, |samples| samples.len()));
        for sample in samples.into_iter().flatten() {
            reply.array(2);
            reply.integer(sample.unix_s.cast_signed());
            reply.integer(sample.ms.cast_signed());
        }
        Ok(())
    }))
}

/// `LATENCY RESET [event ...]`: how many of them had happened.
pub fn reset(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let spikes: Vec<Spike> = match args.len() {
        2 => Spike::ALL.to_vec(),
        _ => args.iter().skip(2).filter_map(Spike::named).collect(),
    };
    let visit = move |shard: &mut Shard| -> Vec<Spike> {
        let forget = |spike: &Spike| shard.measured.spikes.reset(*spike);
        spikes.iter().copied().filter(forget).collect()
    };
    Ok(shard.gather(client, visit, |_, parts, reply| {
        let mut forgotten: Vec<Spike> = parts.into_iter().flatten().collect();
        forgotten.sort_unstable();
        forgotten.dedup();
        reply.integer(forgotten.len() as i64);
        Ok(())
    }))
}

/// `LATENCY GRAPH event`
pub fn graph(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let name = &args[2];
    let none = Error::from_bytes(
        [
            b"ERR No samples available for event '",
            &name[..name.len().min(ECHOED_BYTES_MAX)],
            b"'",
        ]
        .concat(),
    );
    let Some(spike) = Spike::named(name) else {
        return Err(none);
    };
    Ok(gather_spikes(shard, client, move |shard, spikes, reply| {
        let series = spikes.series(spike).ok_or(none)?;
        let now_s = shard.engine.now.ms() / 1000;
        reply.verbatim("txt", draw(spike.name(), series, now_s).as_bytes());
        Ok(())
    }))
}

/// Rows of a graph.
const GRAPH_ROWS: usize = 4;

/// The levels within a row, from the lowest.
const LEVELS: [char; 3] = ['_', 'o', '#'];

/// The samples as columns, the latest on the right, and below each how long ago it was, read
/// downwards.
fn draw(name: &str, series: &Series, now_s: u64) -> String {
    let ms = || series.samples.iter().map(|sample| sample.ms);
    let high = ms().max().unwrap_or(0);
    let low = ms().min().unwrap_or(0);
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.worst_ms,
        "-".repeat(80)
    );
    let steps = (GRAPH_ROWS * LEVELS.len()) as u64;
    let span = high - low;
    let level = |ms: u64| match span {
        0 => 0,
        _ => ((ms - low) * (steps - 1) / span) as usize,
    };
    for row in (0..GRAPH_ROWS).rev() {
        for ms in ms() {
            let (full, part) = (level(ms) / LEVELS.len(), level(ms) % LEVELS.len());
            text.push(match row.cmp(&full) {
                std::cmp::Ordering::Equal => LEVELS[part],
                std::cmp::Ordering::Less => '|',
                std::cmp::Ordering::Greater => ' ',
            });
        }
        text.push('\n');
    }
    text.push('\n');
    let ages: Vec<Vec<char>> = series
        .samples
        .iter()
        .map(|sample| age(now_s.saturating_sub(sample.unix_s)).chars().collect())
        .collect();
    let lines = ages.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..lines {
        text.extend(ages.iter().map(|age| age.get(line).copied().unwrap_or(' ')));
        text.push('\n');
    }
    text
}

fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `LATENCY DOCTOR`
pub fn doctor(
    shard: &mut Shard,
    client: &mut Client,
    _: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    Ok(gather_spikes(shard, client, |shard, spikes, reply| {
        let config = &shard.engine.config;
        let text = report(
            &spikes,
            config.latency_monitor_threshold_ms,
            config.slowlog_log_slower_than_us,
        );
        reply.verbatim("txt", text.as_bytes());
        Ok(())
    }))
}

fn report(spikes: &Spikes, threshold_ms: u64, slower_than_us: i64) -> String {
    let known: Vec<(Spike, &Series)> = Spike::ALL
        .into_iter()
        .filter_map(|spike| Some((spike, spikes.series(spike)?)))
        .collect();
    if threshold_ms == 0 {
        return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n".into();
    }
    if known.is_empty() {
        return format!("Nothing has taken {threshold_ms} ms or longer since the last reset.\n");
    }
    let mut text = format!("What took {threshold_ms} ms or longer:\n\n");
    for (number, (spike, series)) in known.iter().enumerate() {
        let count = series.samples.len() as u64;
        let sum: u64 = series.samples.iter().map(|sample| sample.ms).sum();
        let times = || series.samples.iter().map(|sample| sample.unix_s);
        let seconds = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{}. {}: in {count} seconds, {} ms on average, the worst {} ms, one every {:.2} s.",
            number + 1,
            spike.name(),
            sum / count.max(1),
            series.worst_ms,
            seconds.max(1) as f64 / count.max(1) as f64,
        );
    }
    text.push('\n');
    let commands = |(spike, _): &(Spike, _)| matches!(spike, Spike::Command | Spike::FastCommand);
    if known.iter().any(commands) {
        let threshold_us = threshold_ms.saturating_mul(1_000);
        match u64::try_from(slower_than_us) {
            Ok(us) if us <= threshold_us => {
                text.push_str("- SLOWLOG GET shows which commands these were.\n");
            }
            _ => {
                let _ = writeln!(
                    text,
                    "- The slow log would show the commands: CONFIG SET slowlog-log-slower-than {threshold_us}."
                );
            }
        }
        text.push_str("- A slow command holds up the one shard that owns its keys: many small ones are better than one large one.\n");
    }
    if known.iter().any(|(spike, _)| *spike == Spike::FastCommand) {
        text.push_str("- Commands that take little time by themselves were slow: look for other processes on these cores, or for swapping.\n");
    }
    if known.iter().any(|(spike, _)| *spike == Spike::ExpireCycle) {
        text.push_str(
            "- Many keys expire at the same time: a random part in their deadlines spreads them.\n",
        );
    }
    if known
        .iter()
        .any(|(spike, _)| *spike == Spike::EvictionCycle)
    {
        text.push_str(
            "- Making room takes long: a higher maxmemory, or smaller values, would help.\n",
        );
    }
    text
}

/// `LATENCY HISTOGRAM [command ...]`: of each command that has run, how many calls took at most so
/// many microseconds.
pub fn histogram(
    shard: &mut Shard,
    client: &mut Client,
    args: &Args<'_>,
    _: &mut Reply<'_>,
) -> Result<Answer, Error> {
    let wanted: Vec<CommandId> = match args.len() {
        2 => CommandId::all().collect(),
        _ => args
            .iter()
            .skip(2)
            .filter_map(lookup_full)
            .flat_map(|id| std::iter::once(id).chain(id.subcommands()))
            .collect(),
    };
    let wanted = once_each(wanted);
    let visit = move |shard: &mut Shard| shard.histograms(&wanted);
    Ok(shard.gather(client, visit, |_, parts, reply| {
        let all = join(parts);
        reply.map(all.len());
        for (id, histogram) in all {
            reply.bulk(id.command().name.as_bytes());
            reply.map(2);
            reply.bulk(b"calls");
            reply.integer(histogram.total().cast_signed());
            reply.bulk(b"histogram_usec");
            let cumulative = histogram.cumulative();
            reply.map(cumulative.len());
            for (bound_us, count) in cumulative {
                reply.integer(bound_us.cast_signed());
                reply.integer(count.cast_signed());
            }
        }
        Ok(())
    }))
}

/// Without what is there already: a histogram is large, and a name is easily repeated.
fn once_each(mut commands: Vec<CommandId>) -> Vec<CommandId> {
    let mut seen = vec![false; CommandId::all().len()];
    commands.retain(|id| !std::mem::replace(&mut seen[id.index()], true));
    commands
}

/// What shards measured of the same commands, joined: those that have run, in the order in which
/// they were asked for.
pub fn join(parts: Vec<Vec<Option<(CommandId, Histogram)>>>) -> Vec<(CommandId, Histogram)> {
    let mut joined: Vec<Option<(CommandId, Histogram)>> = Vec::new();
    for part in parts {
        joined.resize(joined.len().max(part.len()), None);
        for (mine, theirs) in joined.iter_mut().zip(part) {
            match (mine, theirs) {
                (Some((_, mine)), Some((_, theirs))) => mine.add(&theirs),
                (mine @ None, theirs) => *mine = theirs,
                _ => {}
            }
        }
    }
    joined.into_iter().flatten().collect()
}

impl Shard {
    /// The durations of these commands on this shard, each in its place.
    pub fn histograms(&self, wanted: &[CommandId]) -> Vec<Option<(CommandId, Histogram)>> {
        let measured = |id: &CommandId| {
            let histogram = self.engine.timing.histograms[id.index()].as_ref()?;
            Some((*id, Histogram::clone(histogram)))
        };
        wanted.iter().map(measured).collect()
    }
}

/// `LATENCY HELP`
pub fn help(
    _: &mut Shard,
    _: &mut Client,
    _: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Answer, Error> {
    write_help(HELP, reply);
    Ok(Answer::Now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spikes() -> Spikes {
        let mut spikes = Spikes::default();
        for (unix_s, ms) in [(10, 5), (40, 100), (3_000, 50)] {
            spikes.note(Spike::Command, unix_s, ms);
        }
        spikes
    }

    #[test]
    fn a_graph_has_a_column_for_each_sample() {
        let spikes = spikes();
        let series = spikes.series(Spike::Command).expect("noted");
        let graph = draw("command", series, 3_010);
        let expected = "command - high 100 ms, low 5 ms (all time high 100 ms)\n";
        assert!(graph.starts_with(expected), "{graph}");
        let lines: Vec<&str> = graph.lines().skip(2).collect();
        assert_eq!(lines, [" # ", " | ", " |#", "_||", "", "541", "090", "mms"]);
    }

    #[test]
    fn the_report_names_what_helps() {
        let text = report(&spikes(), 5, 10_000);
        assert!(text.contains("1. command: in 3 seconds, 51 ms on average, the worst 100 ms"));
        assert!(text.contains("CONFIG SET slowlog-log-slower-than 5000."));
        assert!(!text.contains("expire"));
        assert!(report(&Spikes::default(), 0, 0).contains("latency-monitor-threshold"));
        assert!(report(&Spikes::default(), 5, 0).contains("Nothing"));
    }
}
