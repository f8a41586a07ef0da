//! `log-format redis`: lines as Redis writes them, for what parses those: the process id and role,
//! the local time, the level's mark, the message.
//!
//! What percore says besides stands behind the message as `key=value`, and the shard and the client
//! that it is about at the end.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::mark;

/// `12345:M 30 Nov 2026 11:24:24.123 * message key=value`.
pub struct Line {
    pid: u32,
}

impl Line {
    pub fn new() -> Self {
        Self {
            pid: std::process::id(),
        }
    }
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
        let time = jiff::ZonedDateTime::now();
        let time = time.strftime("%d %b %Y %H:%M:%S%.3f");
        // M: a master.
        write!(
            writer,
            "{}:M {time} {} ",
            self.pid,
            mark(*event.metadata().level())
        )?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, " {}{{{fields}}}", span.name())?;
            }
        }
        writeln!(writer)
    }
}
