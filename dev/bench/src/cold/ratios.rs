//! Pairs of measurements, as a line of the comparison.

/// The same, measured of both builds some times.
pub(super) struct Ratios(Vec<[f64; 2]>);

impl Ratios {
    pub(super) fn of(pairs: Vec<[f64; 2]>) -> Self {
        Self(pairs)
    }

    /// The medians, the median of the ratios, and the quartiles of the ratios.
    pub(super) fn line(&self, what: &str, digits: usize) -> [String; 5] {
        let [before, now] =
            [0, 1].map(|place| part(self.0.iter().map(|pair| pair[place]).collect(), 2));
        let ratio = |quarter| part(self.0.iter().map(|[old, new]| new / old).collect(), quarter);
        let half = match self.0.len() {
            0..4 => String::new(),
            _ => format!("{:.3} to {:.3}", ratio(1), ratio(3)),
        };
        [
            what.to_owned(),
            format!("{before:.digits$}"),
            format!("{now:.digits$}"),
            format!("{:.3}", ratio(2)),
            half,
        ]
    }
}

/// What so many quarters of the values are below.
fn part(mut values: Vec<f64>, quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len() * quarters / 4;
    values.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratios_of_pairs_are_compared_not_the_ratio_of_medians() {
        let pairs = vec![[10.0, 11.0], [100.0, 100.0], [20.0, 24.0], [30.0, 31.5]];
        let line = Ratios::of(pairs).line("a check-in, ms", 1);
        let expected = ["a check-in, ms", "30.0", "31.5", "1.100", "1.050 to 1.200"];
        assert_eq!(line, expected.map(str::to_owned));
    }

    #[test]
    fn one_pair_has_no_spread() {
        let line = Ratios::of(vec![[100.0, 125.0]]).line("bytes", 0);
        assert_eq!(
            line,
            ["bytes", "100", "125", "1.250", ""].map(str::to_owned)
        );
    }
}
