//! The rows that benchmarks print: ours, the reference of the same run, the ratio, the goal, and the cost.

use std::path::Path;

use crate::machine::Machine;

#[derive(Default, serde::Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) ours: String,
    pub(crate) reference: String,
    pub(crate) ratio: String,
    pub(crate) goal: String,
    pub(crate) met: bool,
    /// Processor seconds of the serving processes for each GiB served: ours, the reference's.
    pub(crate) processor: String,
    /// The peak memory of a serving process: ours, the reference's.
    pub(crate) memory: String,
    /// The time to the first byte: ours, the reference's.
    pub(crate) first_byte: String,
}

const HEAD: &str = "| scenario | ours | reference (same run) | ratio | goal | met | CPU s/GiB | peak RSS | first byte |\n\
                    |---|---|---|---|---|---|---|---|---|\n";

impl Row {
    fn line(&self) -> String {
        let met = if self.met { "yes" } else { "NO" };
        let cells = [
            &self.scenario,
            &self.ours,
            &self.reference,
            &self.ratio,
            &self.goal,
            met,
            &self.processor,
            &self.memory,
            &self.first_byte,
        ];
        format!("| {} |\n", cells.join(" | "))
    }
}

fn table(rows: &[Row]) -> String {
    HEAD.to_owned() + &rows.iter().map(Row::line).collect::<String>()
}

impl Row {
    /// Prints the row at once: the other rows take minutes.
    #[expect(clippy::print_stderr, reason = "progress of a benchmark")]
    pub(crate) fn printed(self) -> Self {
        eprint!("{}", self.line());
        self
    }
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn print(rows: &[Row]) {
    println!("\n{}", table(rows));
}

/// Prints the rows as JSON for programs.
#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn print_json(rows: &[Row]) {
    if let Ok(json) = serde_json::to_string(rows) {
        println!("\n{json}");
    }
}

/// Writes the rows and the machine as `NAME.md` and `NAME.json`.
pub(crate) fn save(rows: &[Row], name: &Path) -> anyhow::Result<()> {
    let machine = Machine::this();
    let text = format!("{}\n{}", machine.text(), table(rows));
    std::fs::write(name.with_extension("md"), text)?;
    let json = serde_json::json!({ "machine": machine, "rows": rows });
    std::fs::write(name.with_extension("json"), serde_json::to_vec_pretty(&json)?)?;
    Ok(())
}
