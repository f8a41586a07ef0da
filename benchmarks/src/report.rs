//! Results as tables for people, or as JSON for programs. One JSON object a table; a row is an object keyed by the columns' names.

use std::fmt::Write;

/// One figure or word.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A word.
    Text(String),
    /// A figure, shown with so many decimals; JSON has it in full.
    Figure(f64, usize),
    /// Not measured.
    Absent,
}

/// Rows under named columns. A name ends with its unit.
#[derive(Debug, Default)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Table {
        Table {
            title: title.into(),
            columns: columns.iter().map(ToString::to_string).collect(),
            ..Table::default()
        }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a cell for each column of {}",
            self.title
        );
        self.rows.push(cells);
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// The table in columns, words to the left and figures to the right.
    pub fn to_text(&self) -> String {
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::to_text).collect())
            .collect();
        let width = |column: usize| {
            shown
                .iter()
                .map(|row| row[column].chars().count())
                .chain([self.columns[column].chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = format!("{}\n", self.title);
        for (index, cells) in std::iter::once(&self.columns).chain(&shown).enumerate() {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate() {
                // The first data row decides for its whole column.
                let figures = matches!(
                    self.rows.first().map(|row| &row[column]),
                    Some(Cell::Figure(..) | Cell::Absent)
                );
                let width = widths[column];
                let _ = if figures {
                    write!(line, "  {cell:>width$}")
                } else {
                    write!(line, "  {cell:<width$}")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if index == 0 {
                let _ = writeln!(
                    text,
                    "  {}",
                    "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1))
                );
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "  * {note}");
        }
        text
    }

    /// The table as a JSON object: `title`, `rows`, `notes`.
    pub fn to_json(&self) -> String {
        let row = |cells: &Vec<Cell>| {
            let members: Vec<String> = self
                .columns
                .iter()
                .zip(cells)
                .map(|(name, cell)| format!("{}:{}", quoted(name), cell.to_json()))
                .collect();
            format!("{{{}}}", members.join(","))
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        let notes: Vec<String> = self.notes.iter().map(|note| quoted(note)).collect();
        format!(
            "{{\"title\":{},\"rows\":[{}],\"notes\":[{}]}}",
            quoted(&self.title),
            rows.join(","),
            notes.join(",")
        )
    }
}

impl Cell {
    fn to_text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Figure(value, decimals) => format!("{value:.decimals$}"),
            Cell::Absent => "-".to_string(),
        }
    }

    fn to_json(&self) -> String {
        match self {
            Cell::Text(text) => quoted(text),
            Cell::Figure(value, _) if value.is_finite() => value.to_string(),
            Cell::Figure(..) | Cell::Absent => "null".to_string(),
        }
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("cost \"x\"", &["server", "us"]);
        table.row(vec!["redis".into(), Cell::Figure(1.5, 2)]);
        table.row(vec!["percore-4".into(), Cell::Absent]);
        table.note("a\nb");
        table
    }

    #[test]
    fn text_lines_up() {
        assert_eq!(
            sample().to_text(),
            "cost \"x\"\n  server       us\n  ---------------\n  redis      1.50\n  percore-4     -\n  * a\nb\n"
        );
    }

    #[test]
    fn json_is_escaped() {
        let expected = r#"{"title":"cost \"x\"","rows":[{"server":"redis","us":1.5},{"server":"percore-4","us":null}],"notes":["a\u000ab"]}"#;
        assert_eq!(sample().to_json(), expected);
    }
}
