//! Latencies as a picture: percentiles to the right, microseconds upwards in steps of ten, one line
//! a server and phase.

use std::fmt::Write;

/// The places to the right.
pub const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// One line.
pub struct Line {
    pub name: String,
    pub is_ours: bool,
    /// How it is dashed: 0 finely, 1 not at all, 2 widely.
    pub style: usize,
    /// Microseconds at each of [`QUANTILES`].
    pub at: [f64; QUANTILES.len()],
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
/// Room for the scales and, to the right, the names.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 30.0;
/// Between two names.
const NAME_STEP: f64 = 20.0;

const OURS: &str = "#0b7285";
const THEIRS: &str = "#c92a2a";
const DASHES: [&str; 3] = ["2 4", "none", "9 4"];

/// An SVG of these lines.
pub fn latencies(title: &str, lines: &[Line]) -> String {
    let known = lines.iter().flat_map(|line| line.at).filter(|us| *us > 0.0);
    let (least, most) = known.fold((f64::MAX, 10.0_f64), |(least, most), us| {
        (least.min(us), most.max(us))
    });
    let (low, high) = (least.min(most).log10().floor(), most.log10().ceil());
    let x = |place: usize| {
        let step = (WIDTH - LEFT - RIGHT) / (QUANTILES.len() - 1) as f64;
        LEFT + step * place as f64
    };
    let y = |us: f64| {
        let share = (us.max(1.0).log10() - low) / (high - low).max(1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n"
    );
    for power in low as i32..=high as i32 {
        let us = 10.0_f64.powi(power);
        let (right, at) = (WIDTH - RIGHT, y(us));
        let name = match power {
            ..3 => format!("{us} µs"),
            3..6 => format!("{} ms", us / 1e3),
            _ => format!("{} s", us / 1e6),
        };
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#dddddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            at + 4.0,
        );
    }
    for (place, (name, _)) in QUANTILES.iter().enumerate() {
        let (at, below) = (x(place), HEIGHT - 10.0);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{name}</text>"
        );
    }
    for (place, line) in lines.iter().enumerate() {
        let color = if line.is_ours { OURS } else { THEIRS };
        let dash = DASHES[line.style % DASHES.len()];
        let stroke = format!(
            "fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\""
        );
        let points: Vec<String> = line
            .at
            .iter()
            .enumerate()
            .map(|(place, us)| format!("{:.1},{:.1}", x(place), y(*us)))
            .collect();
        let (from, at) = (WIDTH - RIGHT + 20.0, TOP + NAME_STEP * place as f64);
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" {stroke}/>\n<path d=\"M{from} {at}h30\" {stroke}/><text x=\"{}\" y=\"{}\">{}</text>",
            points.join(" "),
            from + 38.0,
            at + 4.0,
            line.name,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_is_higher() {
        let line = |name: &str, us: f64| Line {
            name: name.into(),
            is_ours: true,
            style: 0,
            at: [us; QUANTILES.len()],
        };
        let svg = latencies("t", &[line("fast", 20.0), line("slow", 2_000.0)]);
        let heights: Vec<f64> = svg
            .lines()
            .filter_map(|line| line.strip_prefix("<polyline points=\""))
            .filter_map(|points| points.split([',', ' ']).nth(1)?.parse().ok())
            .collect();
        assert!(heights[0] > heights[1], "{heights:?}");
        assert!(svg.contains("10 µs") && svg.contains("10 ms") && svg.ends_with("</svg>\n"));
    }
}
