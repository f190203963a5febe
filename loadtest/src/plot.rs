//! Line plots as SVG, readable on white and on dark pages: a transparent ground, grey text, colours that stand out on both.

use std::fmt::Write;

/// A line: its name, its colour, its points.
#[derive(Debug, Clone)]
pub struct Line {
    pub name: String,
    pub color: &'static str,
    /// Whether it is a reference or a second quantile, which are dashed.
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// A plot with logarithmic axes: figures of servers differ by factors, and factors are distances here.
#[derive(Debug, Clone)]
pub struct Plot {
    pub title: &'static str,
    pub across: &'static str,
    pub up: &'static str,
    pub lines: Vec<Line>,
}

/// The colours of the lines, in order.
pub const COLORS: [&str; 4] = ["#8a8f98", "#d9822b", "#2f81f7", "#2da160"];

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
/// Where the lines may be: left, top, right, bottom.
const AREA: (f64, f64, f64, f64) = (64.0, 48.0, 560.0, 348.0);
const GREY: &str = "#808890";

impl Plot {
    pub fn to_svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" \
             font-size=\"13\" fill=\"{GREY}\" role=\"img\" aria-label=\"{0}\">\n\
             <text x=\"{1}\" y=\"24\" font-size=\"16\" font-weight=\"600\">{0}</text>\n",
            self.title, AREA.0
        );
        self.axes(&mut svg);
        for (index, line) in self.lines.iter().enumerate() {
            self.line(&mut svg, line, index);
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// Marks at every value across that a line has, and at round values up.
    fn axes(&self, svg: &mut String) {
        let mut values: Vec<f64> = self.points().map(|(x, _)| x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        for value in values {
            let x = self.x(value);
            text(svg, x, AREA.3 + 20.0, "middle", &value.to_string());
        }
        for (index, value) in self.marks().into_iter().enumerate() {
            let y = self.y(value);
            let opacity = if index == 0 { "0.8" } else { "0.25" };
            let _ =
                writeln!(svg, "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"{GREY}\" stroke-opacity=\"{opacity}\"/>", AREA.0, AREA.2);
            text(svg, AREA.0 - 8.0, y + 4.0, "end", &value.to_string());
        }
        text(svg, f64::midpoint(AREA.0, AREA.2), AREA.3 + 42.0, "middle", self.across);
        text(svg, AREA.0, AREA.1 - 6.0, "start", self.up);
    }

    fn line(&self, svg: &mut String, line: &Line, index: usize) {
        let points: Vec<_> = line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
        let (color, dash) = (line.color, if line.dashed { " stroke-dasharray=\"6 4\"" } else { "" });
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"{dash}/>",
            points.join(" ")
        );
        for point in &points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{color}\"/>");
        }
        let y = AREA.1 + 20.0 * index as f64 + 8.0;
        let _ = writeln!(svg, "<path d=\"M{:.1} {y:.1}h22\" stroke=\"{color}\" stroke-width=\"2\"{dash}/>", AREA.2 + 12.0);
        text(svg, AREA.2 + 40.0, y + 4.0, "start", &line.name);
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }

    /// The round values up, from below the lowest point to above the highest.
    fn marks(&self) -> Vec<f64> {
        let lowest = self.points().map(|(_, y)| y).fold(f64::INFINITY, f64::min);
        let highest = self.points().map(|(_, y)| y).fold(0.0, f64::max);
        let all = || (-3..6).flat_map(|ten| [1.0, 2.0, 5.0].map(|factor| round(factor * 10_f64.powi(ten))));
        let first = all().filter(|mark| *mark <= lowest).fold(0.001, f64::max);
        let last = all().filter(|mark| highest <= *mark).fold(f64::INFINITY, f64::min);
        all().filter(|mark| (first..=last).contains(mark)).collect()
    }

    fn x(&self, value: f64) -> f64 {
        let low = self.points().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
        let high = self.points().map(|(x, _)| x).fold(0.0, f64::max);
        AREA.0 + 16.0 + place(value, low, high) * (AREA.2 - AREA.0 - 32.0)
    }

    fn y(&self, value: f64) -> f64 {
        let marks = self.marks();
        let (low, high) = (marks.first().copied().unwrap_or(1.0), marks.last().copied().unwrap_or(1.0));
        AREA.3 - place(value, low, high) * (AREA.3 - AREA.1)
    }
}

/// Where a value lies between two others, from 0 to 1.
fn place(value: f64, low: f64, high: f64) -> f64 {
    (value / low).ln() / (high / low).ln().max(f64::EPSILON)
}

/// Without what powers leave behind the digits that matter.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_above_every_point() {
        let line = Line { name: "a".to_owned(), color: COLORS[0], dashed: false, points: vec![(10.0, 3.0), (1_000.0, 7.3)] };
        let plot = Plot { title: "t", across: "x", up: "y", lines: vec![line] };
        assert_eq!(plot.marks(), [2.0, 5.0, 10.0]);
        assert!(plot.y(7.3) < plot.y(3.0), "up is up");
        assert!(plot.to_svg().ends_with("</svg>\n"));
    }
}
