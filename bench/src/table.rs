//! What the benchmarks print: ours, the reference of the same run, the ratio, the goal.

#[derive(serde::Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) ours: String,
    pub(crate) reference: String,
    pub(crate) ratio: String,
    pub(crate) goal: String,
    pub(crate) met: bool,
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn print(rows: &[Row]) {
    println!("\n| scenario | ours | reference (same run) | ratio | goal | met |");
    println!("|---|---|---|---|---|---|");
    for row in rows {
        let met = if row.met { "yes" } else { "NO" };
        println!(
            "| {} | {} | {} | {} | {} | {met} |",
            row.scenario, row.ours, row.reference, row.ratio, row.goal
        );
    }
}

/// Beside the table: the same for machines.
#[expect(clippy::print_stdout, reason = "the table is the program's output")]
pub(crate) fn print_json(rows: &[Row]) {
    if let Ok(json) = serde_json::to_string(rows) {
        println!("\n{json}");
    }
}
