//! The numbers as tables, and where they go in docs/fleet.md.

use std::fmt::Write as _;
use std::path::Path;

use crate::fleet::Outcome;
use crate::service::Scene;

const BEGIN: &str = "<!-- numbers: written by make fleet -->\n";
const END: &str = "<!-- end of numbers -->";

pub struct Row {
    pub name: String,
    pub scene: Scene,
    pub outcome: Outcome,
}

pub fn tables(sections: &[(&str, Vec<Row>)]) -> String {
    let mut text = String::new();
    for (title, rows) in sections {
        let _ = writeln!(
            text,
            "\n**{title}**\n\n\
             | | speakers | steady, requests/s | during it, busiest second / 10 s | after it, busiest second / 10 s \
             | all caught up after | silent at its end | sound back, half of them / the last | events | lost | out of order |\n\
             |---|---|---|---|---|---|---|---|---|---|---|"
        );
        for row in rows {
            let _ = writeln!(text, "{}", line(row));
        }
    }
    text
}

pub fn line(Row { name, scene, outcome }: &Row) -> String {
    let (during, after) = outcome.peaks(scene, 1);
    let (during_10, after_10) = outcome.peaks(scene, 10);
    let (silent, half, last) = outcome.silence();
    let caught_up = outcome
        .all_caught_up_s()
        .map_or_else(|| format!("{} had not", grouped(outcome.late)), minutes);
    let back = if silent == 0 {
        "-".to_owned()
    } else {
        format!("{} / {}", minutes(half), minutes(last))
    };
    format!(
        "| {name} | {} | {:.0} | {during:.2} / {during_10:.2} | {after:.2} / {after_10:.2} | {caught_up} | {} | {back} | {} | {} | {} |",
        grouped(outcome.speakers),
        outcome.steady(),
        grouped(u64::try_from(silent).unwrap()),
        grouped(outcome.recorded),
        outcome.lost,
        outcome.out_of_order
    )
}

fn minutes(seconds: u32) -> String {
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

/// `1,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Puts the tables between the two marks of the page.
pub fn put_into(page: &Path, tables: &str) {
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the page has a mark where the numbers begin");
    let (_, after) = rest.split_once(END).expect("the page has a mark where the numbers end");
    std::fs::write(page, format!("{before}{BEGIN}{tables}\n{END}{after}")).unwrap();
}
