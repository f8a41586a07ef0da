//! `log-format text`: a line begins with the time (UTC), the level's name and Redis's mark for it,
//! which people's scripts look for.

use std::fmt;
use std::sync::Arc;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::output::Output;
use super::{mark, name};

/// `2026-11-30T11:24:24.123456Z NOTICE * shard{id=0}: message key=value`.
pub struct Line {
    pub output: Arc<Output>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let (before, after) = if self.output.is_terminal() {
            (colour(level), "\u{1b}[0m")
        } else {
            ("", "")
        };
        let word = name(level).to_ascii_uppercase();
        let time = jiff::Timestamp::now();
        write!(
            writer,
            "{time:.6} {before}{word} {mark}{after} ",
            mark = mark(level)
        )?;
        let mut colon = "";
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            write!(writer, "{}", span.name())?;
            colon = " ";
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            write!(writer, ":")?;
        }
        writer.write_str(colon)?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// A terminal's sequence for the colour of a level.
fn colour(level: Level) -> &'static str {
    match level {
        Level::TRACE => "\u{1b}[35m",
        Level::DEBUG => "\u{1b}[34m",
        Level::INFO => "\u{1b}[32m",
        Level::WARN => "\u{1b}[33m",
        Level::ERROR => "\u{1b}[31m",
    }
}
