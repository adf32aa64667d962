//! Output of the command line: results on stdout, remarks on stderr.
//!
//! Failed writes are ignored: a reader may close the pipe early (`stoker preheats | head`).

use std::io::{self, IsTerminal, Write};

use api::types::Timestamp;
use indicatif::HumanBytes;

/// Prints a line to stdout.
pub(crate) fn say(line: impl AsRef<str>) {
    let _ = writeln!(io::stdout().lock(), "{}", line.as_ref());
}

/// Prints a remark to stderr.
pub(crate) fn remark(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Whether stderr is a terminal: only then bars are drawn.
pub(crate) fn somebody_watches() -> bool {
    io::stderr().is_terminal()
}

pub(crate) fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// Enough of a digest to find it again.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

pub(crate) fn percent(done: u64, total: u64) -> String {
    match total {
        0 => "-".to_owned(),
        total => format!("{} %", done.min(total).saturating_mul(100) / total),
    }
}

/// `2026-11-21T09:38:08.045Z` without what is smaller than a second.
pub(crate) fn to_the_second(moment: &Timestamp) -> String {
    let second: String = moment.to_string().chars().take(19).collect();
    second.replace('T', " ")
}

/// Rows under headings, each column as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    columns: usize,
}

impl Table {
    pub(crate) fn new<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
            columns: COLUMNS,
        }
    }

    pub(crate) fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.map(|cell| printable(&cell)).to_vec());
    }

    pub(crate) fn say(&self) {
        say(self.text().trim_end());
    }

    fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.columns).map(|column| self.width(column)).collect();
        self.rows.iter().map(|row| line(row, &widths)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let padded = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}  "));
    let line: String = padded.collect();
    format!("{}\n", line.trim_end())
}

/// Replaces control characters, which could move the cursor of a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["ID", "STATE"]);
        table.row(["1000".to_owned(), "placing".to_owned()]);
        table.row(["2".to_owned(), "a\u{1b}[2Jb".to_owned()]);
        insta::assert_snapshot!(table.text(), @r"
        ID    STATE
        1000  placing
        2     a [2Jb
        ");
    }

    #[test]
    fn only_a_complete_count_is_a_hundred_percent() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(999, 1_000), "99 %");
        assert_eq!(percent(1_000, 1_000), "100 %");
        assert_eq!(percent(5, 4), "100 %");
    }

    #[test]
    fn moments_are_shown_to_the_second() {
        let moment = Timestamp::from_ms(1_795_256_288_045);
        assert_eq!(to_the_second(&moment), "2026-11-21 10:18:08");
    }
}
