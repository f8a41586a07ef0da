//! Results as tables for people, as text or Markdown, or as JSON for programs: one object a table,
//! its rows objects keyed by the columns' names.
//!
//! A row is words and then figures. A figure that was not measured is NaN: `-` in text, null in
//! JSON.

use std::fmt::Write;

/// Rows under named columns. A figure's name has its unit.
pub struct Table {
    title: String,
    words: Vec<&'static str>,
    figures: Vec<(String, usize)>,
    rows: Vec<(Vec<String>, Vec<f64>)>,
    notes: Vec<String>,
}

impl Table {
    /// An empty table with columns of words, named with a blank between them, and of figures, each
    /// with the decimals to show.
    pub fn new(title: impl Into<String>, words: &'static str, figures: &[(&str, usize)]) -> Table {
        let figures = figures
            .iter()
            .map(|&(name, decimals)| (name.to_string(), decimals));
        let (words, figures) = (words.split_whitespace().collect(), figures.collect());
        Table {
            title: title.into(),
            words,
            figures,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row, with a word or a figure for each column.
    pub fn row(&mut self, words: &[&dyn ToString], figures: &[f64]) {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        assert_eq!(
            (words.len(), figures.len()),
            (self.words.len(), self.figures.len()),
            "{}",
            self.title
        );
        self.rows.push((words, figures.to_vec()));
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    fn names(&self) -> Vec<String> {
        let figures = self.figures.iter().map(|(name, _)| name.clone());
        self.words
            .iter()
            .map(ToString::to_string)
            .chain(figures)
            .collect()
    }

    /// All rows as they are shown, the names of the columns first.
    fn cells(&self) -> Vec<Vec<String>> {
        let mut lines = vec![self.names()];
        for (words, figures) in &self.rows {
            let figures = figures
                .iter()
                .zip(&self.figures)
                .map(|(figure, (_, decimals))| {
                    if figure.is_nan() {
                        "-".to_string()
                    } else {
                        format!("{figure:.decimals$}")
                    }
                });
            lines.push(words.iter().cloned().chain(figures).collect());
        }
        lines
    }

    /// The table as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        for (at, cells) in self.cells().iter().enumerate() {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            if at == 0 {
                let (words, figures) = (self.words.len(), self.figures.len());
                let _ = writeln!(text, "{}{}|", "|---".repeat(words), "|--:".repeat(figures));
            }
        }
        for note in &self.notes {
            let _ = write!(text, "\n- {note}");
        }
        text.push('\n');
        text
    }

    /// The table in columns, words to the left and figures to the right.
    pub fn to_text(&self) -> String {
        let lines = self.cells();
        let mut text = format!("{}\n", self.title);
        for cells in &lines {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                let width = lines
                    .iter()
                    .map(|cells| cells[column].len())
                    .max()
                    .unwrap_or(0);
                let _ = if column < self.words.len() {
                    write!(line, "  {cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  * {note}");
        }
        text
    }

    /// The table as a JSON object: `title`, `rows`, `notes`.
    pub fn to_json(&self) -> String {
        let row = |(words, figures): &(Vec<String>, Vec<f64>)| {
            let words = words.iter().map(|word| quoted(word));
            let figures = figures.iter().map(|figure| {
                if figure.is_finite() {
                    figure.to_string()
                } else {
                    "null".to_string()
                }
            });
            let cells = self.names().into_iter().zip(words.chain(figures));
            let members: Vec<String> = cells
                .map(|(name, cell)| format!("{}:{cell}", quoted(&name)))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        let notes: Vec<String> = self.notes.iter().map(|note| quoted(note)).collect();
        let title = quoted(&self.title);
        format!(
            "{{\"title\":{title},\"rows\":[{}],\"notes\":[{}]}}",
            rows.join(","),
            notes.join(",")
        )
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(json, "\\{c}"),
            c if c.is_control() => write!(json, "\\u{:04x}", u32::from(c)),
            c => write!(json, "{c}"),
        };
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("cost \"x\"", "server", &[("us", 2)]);
        table.row(&[&"redis"], &[1.5]);
        table.row(&[&"percore-4"], &[f64::NAN]);
        table.note("a\nb");
        table
    }

    #[test]
    fn text_lines_up() {
        let text =
            "cost \"x\"\n  server       us\n  redis      1.50\n  percore-4     -\n  * a\nb\n";
        assert_eq!(sample().to_text(), text);
    }

    #[test]
    fn markdown_has_its_rule() {
        let text = "cost \"x\"\n\n| server | us |\n|---|--:|\n| redis | 1.50 |\n| percore-4 | - |\n\n- a\nb\n";
        assert_eq!(sample().to_markdown(), text);
    }

    #[test]
    fn json_is_escaped() {
        let rows = r#"[{"server":"redis","us":1.5},{"server":"percore-4","us":null}]"#;
        assert_eq!(
            sample().to_json(),
            format!(r#"{{"title":"cost \"x\"","rows":{rows},"notes":["a\u000ab"]}}"#)
        );
    }
}
