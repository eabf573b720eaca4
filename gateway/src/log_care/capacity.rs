//! How full the log is, and when that is told.

/// How far it was told.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    told: u8,
}

impl Capacity {
    /// The incident to log, once for each step.
    pub(super) fn look(&mut self, bytes: u64, bytes_max: u64) -> Option<&'static str> {
        let parts = |percent: u64| bytes.saturating_mul(100) >= bytes_max.saturating_mul(percent);
        let (step, what) = if parts(90) {
            (2, "audit-log-90-percent-full")
        } else if parts(70) {
            (1, "audit-log-70-percent-full")
        } else {
            (0, "")
        };
        let is_new = step > self.told;
        self.told = step;
        is_new.then_some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_told_once_and_again_after_room_was_made() {
        let mut capacity = Capacity::default();
        let told = [0, 69, 70, 71, 89, 90, 99, 100, 50, 95].map(|bytes| capacity.look(bytes, 100));
        let (seventy, ninety) = (Some("audit-log-70-percent-full"), Some("audit-log-90-percent-full"));
        assert_eq!(told, [None, None, seventy, None, None, ninety, None, None, None, ninety]);
        assert_eq!(Capacity::default().look(1000, 1000), ninety);
    }
}
