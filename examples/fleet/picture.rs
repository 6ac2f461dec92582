//! The picture: requests a second as a multiple of steady, over the minutes before, during and after the outage, as SVG.

use std::fmt::Write as _;

use crate::fleet::Outcome;
use crate::service::{OUTAGE_S, Scene};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// Minutes before the outage that are shown.
const BEFORE_S: u64 = 300;
/// Seconds that one point stands for: the busiest of them is shown.
const POINT_S: usize = 10;
/// The axis of the multiples is logarithmic, from here to here.
const LEAST: f64 = 0.1;
const MOST: f64 = 1000.0;

/// Multiples that have a line across the picture, and whether that is the aim.
const ROWS: [(f64, bool); 6] = [
    (0.1, false),
    (1.0, false),
    (3.0, true),
    (10.0, false),
    (100.0, false),
    (1000.0, false),
];

/// One line of the picture.
pub struct Line<'a> {
    pub name: &'a str,
    pub colour: &'a str,
    pub outcome: &'a Outcome,
}

pub fn draw(title: &str, scene: &Scene, lines: &[Line<'_>]) -> String {
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{title}</text>"
    );
    let first = OUTAGE_S - BEFORE_S;
    let last = OUTAGE_S + scene.lasts_s + scene.after_s;
    let x = |second: f64| LEFT + (second - first as f64) / (last - first) as f64 * (WIDTH - LEFT - RIGHT);
    let y = |multiple: f64| {
        let part = (multiple.clamp(LEAST, MOST) / LEAST).log10() / (MOST / LEAST).log10();
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    };
    axes(&mut svg, scene, (first, last), &x, &y);
    for (index, line) in lines.iter().enumerate() {
        let steady = line.outcome.steady();
        let asked = &line.outcome.load.asked[usize::try_from(first).unwrap()..usize::try_from(last).unwrap()];
        let points: Vec<String> = asked
            .chunks(POINT_S)
            .enumerate()
            .map(|(index, seconds)| {
                let most = f64::from(seconds.iter().copied().max().unwrap_or(0));
                let second = first as f64 + (index * POINT_S) as f64;
                format!("{:.1},{:.1}", x(second), y(most / steady))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>",
            line.colour,
            points.join(" ")
        );
        let (row, colour, name) = (TOP + 16.0 + 17.0 * index as f64, line.colour, line.name);
        let _ = writeln!(
            svg,
            "<rect x=\"{0}\" y=\"{1}\" width=\"14\" height=\"4\" fill=\"{colour}\"/><text x=\"{2}\" y=\"{row}\">{name}</text>",
            LEFT + 10.0,
            row - 6.0,
            LEFT + 30.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, scene: &Scene, (first, last): (u64, u64), x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let (start, end) = (x(OUTAGE_S as f64), x((OUTAGE_S + scene.lasts_s) as f64));
    let (top, bottom) = (y(MOST), y(LEAST));
    let _ = writeln!(
        svg,
        "<rect x=\"{start:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#f0f0f0\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#666666\" text-anchor=\"middle\">the service does not answer</text>",
        end - start,
        bottom - top,
        f64::midpoint(start, end),
        bottom - 8.0
    );
    for (multiple, is_target) in ROWS {
        let row = y(multiple);
        let (colour, dash) = if is_target {
            ("#cc0000", "6,4")
        } else {
            ("#cccccc", "none")
        };
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{row:.1}\" x2=\"{:.1}\" y2=\"{row:.1}\" stroke=\"{colour}\" stroke-dasharray=\"{dash}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{multiple} ×</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            row + 4.0
        );
    }
    let from_s = (first as f64 - OUTAGE_S as f64) / 60.0;
    let to_s = (last as f64 - OUTAGE_S as f64) / 60.0;
    let mut minute = (from_s / 10.0).ceil() * 10.0 + 0.0;
    while minute <= to_s {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{minute}</text>",
            x(OUTAGE_S as f64 + minute * 60.0),
            bottom + 18.0
        );
        minute += 10.0;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">minutes since the outage began; the busiest second of every ten, as a multiple of steady</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 14.0
    );
}
