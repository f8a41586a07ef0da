//! `Accept`: which form of the metrics a scraper wants.
//!
//! Whoever asks for OpenMetrics, and for nothing else more, gets that; everybody else the older
//! text, which whatever reads metrics can read.

use shard::Exposition;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// The form that the values of a request's `Accept` headers ask for.
pub fn exposition<'a>(values: impl Iterator<Item = &'a [u8]>) -> Exposition {
    // In thousandths, of each form.
    let (mut open, mut plain, mut any_text, mut any) = (None, None, None, None);
    for value in values {
        for range in String::from_utf8_lossy(value).split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(weight).unwrap_or(1000);
            let place = match kind.as_str() {
                OPEN_METRICS => &mut open,
                "text/plain" => &mut plain,
                "text/*" => &mut any_text,
                "*/*" => &mut any,
                _ => continue,
            };
            *place = (*place).max(Some(weight));
        }
    }
    let plain = plain.or(any_text).or(any).unwrap_or(0);
    match open {
        Some(open) if open > 0 && open >= plain => Exposition::OpenMetrics,
        _ => Exposition::Plain,
    }
}

/// The thousandths that a parameter `q=0.5` says. Nonsense says nothing.
fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    let value: f64 = value.trim().parse().ok()?;
    let is_weight = name.trim().eq_ignore_ascii_case("q") && (0.0..=1.0).contains(&value);
    is_weight.then_some((value * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_what_it_asks_for() {
        use Exposition::{OpenMetrics, Plain};
        for (accept, wanted) in [
            ("", Plain),
            ("*/*", Plain),
            ("text/plain", Plain),
            ("text/html, application/xhtml+xml, */*;q=0.8", Plain),
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;q=0.2, text/plain;q=0.5",
                Plain,
            ),
            ("application/openmetrics-text;q=0.2, text/*", Plain),
            ("application/openmetrics-text;q=0, */*;q=0.1", Plain),
            ("application/openmetrics-text;q=0", Plain),
            ("application/openmetrics-text;q=nonsense", OpenMetrics),
            ("text/plain, application/openmetrics-text", OpenMetrics),
            ("application/json", Plain),
            (";;=,,;q", Plain),
        ] {
            assert_eq!(
                exposition([accept.as_bytes()].into_iter()),
                wanted,
                "{accept}"
            );
        }
        assert_eq!(exposition([].into_iter()), Plain);
        let lines = [b"text/html".as_slice(), b"application/openmetrics-text"];
        assert_eq!(exposition(lines.into_iter()), OpenMetrics);
    }
}
