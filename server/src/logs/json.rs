//! `log-format json`: an object a line. Numbers and truth values are JSON's own, everything else is
//! text.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::name;

/// `{"timestamp":"...","level":"notice","fields":{"message":"...","key":1},"target":"...","spans":[{"name":"shard","id":0}]}`.
pub struct Line;

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
        let time = jiff::Timestamp::now();
        let metadata = event.metadata();
        let level = name(*metadata.level());
        write!(
            writer,
            r#"{{"timestamp":"{time:.6}","level":"{level}","fields":{{"#
        )?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        write!(writer, r#"}},"target":"#)?;
        quote(&mut writer, metadata.target())?;
        let scope = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root());
        let mut before = r#","spans":["#;
        for span in scope {
            write!(writer, r#"{before}{{"name":"#)?;
            before = ",";
            quote(&mut writer, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, ",{fields}")?;
            }
            write!(writer, "}}")?;
        }
        let end = if before == "," { "]}" } else { "}" };
        writeln!(writer, "{end}")
    }
}

/// Writes fields as the inside of an object.
pub struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members {
            out: writer,
            written: Ok(()),
            any: false,
        };
        fields.record(&mut members);
        members.written
    }
}

struct Members<W> {
    out: W,
    written: fmt::Result,
    any: bool,
}

impl<W: Write> Members<W> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut W) -> fmt::Result) {
        if self.written.is_err() {
            return;
        }
        let comma = if self.any { "," } else { "" };
        self.any = true;
        self.written = self
            .out
            .write_str(comma)
            .and_then(|()| quote(&mut self.out, field.name()))
            .and_then(|()| self.out.write_char(':'))
            .and_then(|()| value(&mut self.out));
    }
}

impl<W: Write> Visit for Members<W> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |out| write!(out, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |out| write!(out, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |out| write!(out, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, |out| {
            if value.is_finite() {
                write!(out, "{value}")
            } else {
                // JSON has no word for it.
                out.write_str("null")
            }
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |out| quote(out, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |out| {
            out.write_char('"')?;
            write!(Escaped(&mut *out), "{value:?}")?;
            out.write_char('"')
        });
    }
}

/// `text` as a JSON string.
fn quote(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    Escaped(&mut *out).write_str(text)?;
    out.write_char('"')
}

/// Everything written to it stands inside a JSON string.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            // Bytes of longer letters are above these.
            if byte >= b' ' && byte != b'"' && byte != b'\\' && byte != 0x7f {
                continue;
            }
            self.0.write_str(&text[from..at])?;
            from = at + 1;
            match byte {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
        }
        self.0.write_str(&text[from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        quote(&mut out, "a \"b\" \\ é\n\u{1}\u{7f}").expect("written");
        assert_eq!(out, "\"a \\\"b\\\" \\\\ é\\n\\u0001\\u007f\"");
    }
}
