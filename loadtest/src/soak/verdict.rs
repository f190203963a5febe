//! Whether something grows: a line through the second half of a figure's samples, by least squares, and what it rises by in that time.

/// How much a figure may rise over the second half: a share of its mean there, and so much beside it.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    Rises {
        share: f64,
        slack: f64,
    },
    /// It is only told.
    Any,
}

/// One figure over the time of a soak.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub unit: &'static str,
    pub bound: Bound,
    /// When, in hours, and what.
    pub points: Vec<(f64, f64)>,
}

/// What a figure did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// The medians of the first, the middle and the last tenth.
    pub start: f64,
    pub middle: f64,
    pub end: f64,
    /// An hour, over the second half.
    pub slope: f64,
    /// Over the second half, and what it may be.
    pub rise: f64,
    pub allowed: f64,
}

/// Fewer say nothing.
const FEWEST: usize = 10;

/// A figure that was there at fewer of all looks is not known well enough.
const MOST_LOOKS: f64 = 0.75;

impl Series {
    /// Nothing if there are too few samples.
    pub fn course(&self) -> Option<Course> {
        if self.points.len() < FEWEST {
            return None;
        }
        let tenth = (self.points.len() / 10).max(1);
        let middle = (self.points.len() - tenth) / 2;
        let half = &self.points[self.points.len() / 2..];
        let (slope, mean) = line(half);
        let rise = slope * (half[half.len() - 1].0 - half[0].0);
        let allowed = match self.bound {
            Bound::Rises { share, slack } => share * mean.abs() + slack,
            Bound::Any => f64::INFINITY,
        };
        let part = |from: usize| median(&self.points[from..from + tenth]);
        Some(Course { start: part(0), middle: part(middle), end: part(self.points.len() - tenth), slope, rise, allowed })
    }
}

impl Course {
    /// What is no number is no level.
    pub fn grows(&self) -> bool {
        !self.rise.is_finite() || self.allowed < self.rise
    }
}

/// The slope of the line that fits best, and the mean.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let under: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (if under == 0.0 { 0.0 } else { over / under }, y)
}

fn median(points: &[(f64, f64)]) -> f64 {
    let mut values: Vec<_> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What is wrong with bounded figures: the names of those that grow, and of those that were seen too seldom to know.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    pub grown: Vec<String>,
    pub unknown: Vec<String>,
}

/// Prints all figures, which were looked at so many times, and judges them.
pub fn print(series: &[Series], looks: usize) -> Verdict {
    println!(
        "| what | start | middle | end | slope an hour | rise in the second half | may rise by | verdict |\n|---|---|---|---|---|---|---|---|"
    );
    let mut verdict = Verdict::default();
    for figure in series {
        let (unit, seen) = (figure.unit, figure.points.len());
        let known = figure.course().filter(|_| looks as f64 * MOST_LOOKS <= seen as f64 || matches!(figure.bound, Bound::Any));
        let Some(course) = known else {
            println!("| {}, {unit} | | | | | | | seen at {seen} of {looks} looks |", figure.name);
            if matches!(figure.bound, Bound::Rises { .. }) {
                verdict.unknown.push(figure.name.clone());
            }
            continue;
        };
        let (allowed, word) = match (figure.bound, course.grows()) {
            (Bound::Any, _) => (String::new(), "told only"),
            (_, true) => (format!("{:.2}", course.allowed), "**grows**"),
            (_, false) => (format!("{:.2}", course.allowed), "flat"),
        };
        println!(
            "| {}, {unit} | {:.2} | {:.2} | {:.2} | {:+.2} | {:+.2} | {allowed} | {word} |",
            figure.name, course.start, course.middle, course.end, course.slope, course.rise
        );
        if course.grows() && matches!(figure.bound, Bound::Rises { .. }) {
            verdict.grown.push(figure.name.clone());
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(of: impl Fn(f64) -> f64) -> Series {
        let points = (0..100).map(|n| (f64::from(n) / 600.0, of(f64::from(n)))).collect();
        Series { name: "memory".to_owned(), unit: "MiB", bound: Bound::Rises { share: 0.05, slack: 1.0 }, points }
    }

    #[test]
    fn what_warms_up_and_stays_is_flat() {
        let course = series(|n| 100.0 + n.min(30.0)).course().expect("enough");
        assert!(!course.grows(), "{course:?}");
        assert_eq!((course.start.round(), course.end.round()), (105.0, 130.0));
    }

    #[test]
    fn what_leaks_grows_however_much_it_jumps() {
        let course = series(|n| 100.0 + n * 0.2 + (n * 7.0) % 5.0).course().expect("enough");
        assert!(course.grows(), "{course:?}");
    }

    #[test]
    fn few_samples_say_nothing() {
        let mut few = series(|n| n);
        few.points.truncate(FEWEST - 1);
        assert!(few.course().is_none());
    }

    #[test]
    fn what_is_no_number_is_not_flat() {
        assert!(series(|n| if n == 70.0 { f64::NAN } else { 100.0 }).course().expect("enough").grows());
    }

    #[test]
    fn a_bounded_figure_that_was_seen_too_seldom_is_unknown() {
        let named = |name: &str, points: usize| {
            let mut series = Series { name: name.to_owned(), ..series(|_| 100.0) };
            series.points.truncate(points);
            series
        };
        let told = Series { bound: Bound::Any, ..named("told", 1) };
        let all = [named("short", FEWEST - 1), named("seldom", 74), named("often", 75), told];
        assert_eq!(print(&all, 100), Verdict { grown: vec![], unknown: vec!["short".to_owned(), "seldom".to_owned()] });
        let leak = Series { name: "leak".to_owned(), ..series(|n| n) };
        assert_eq!(print(&[leak], 100), Verdict { grown: vec!["leak".to_owned()], unknown: vec![] });
    }
}
