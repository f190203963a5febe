//! The one source of chance: the same seed gives the same numbers on every machine and with every release of the libraries.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// A place in a list of so many; 0 if there is none.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or_default()
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub(super) fn of<T: Clone>(&mut self, these: &[T]) -> T {
        these[self.index(these.len())].clone()
    }

    /// One of these, by their weights; the first if all are nothing.
    pub(super) fn weighed<T: Clone>(&mut self, these: &[(u64, T)]) -> T {
        let mut at = self.below(these.iter().map(|(weight, _)| weight).sum());
        for (weight, it) in these {
            if at < *weight {
                return it.clone();
            }
            at -= weight;
        }
        these[0].1.clone()
    }
}
