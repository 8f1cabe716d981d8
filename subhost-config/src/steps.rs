//! The budget that makes every evaluation end.

/// The step budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfSteps;

/// Elementary steps that may still be made: commands, expansions, attempts of a pattern.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    left: u64,
}

impl Steps {
    pub(crate) fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    /// Takes that many.
    pub(crate) fn take(&mut self, count: u64) -> Result<(), OutOfSteps> {
        self.left = self.left.checked_sub(count).ok_or(OutOfSteps)?;
        Ok(())
    }
}
