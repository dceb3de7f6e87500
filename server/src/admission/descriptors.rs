//! How many sessions and data connections the limit on open files allows.

use crate::limits::{DATA_SLOTS_MIN, FILES_AHEAD_MAX, REFUSALS_MAX, RESERVED_DESCRIPTORS, UNTICKETED_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the descriptors of this process are for. A session has one; a data slot stands for two, a
/// connection and a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DescriptorPlan {
    pub(crate) sessions: u64,
    pub(crate) data_slots: u64,
}

/// More sessions were asked for than the limit allows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{wanted} sessions need {needed} open files, but the limit is {limit}; raise it (ulimit -n) or lower --max-sessions"
)]
pub(crate) struct TooFewDescriptors {
    wanted: u64,
    needed: u64,
    limit: u64,
}

/// Raises the soft limit on open files to the hard one, and tells the limit in force.
pub(crate) fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    current.unwrap_or(u64::MAX)
}

impl DescriptorPlan {
    /// Divides `limit` descriptors. Unless a number is asked for, four in five are for sessions.
    pub(crate) fn new(limit: u64, max_sessions: Option<u64>) -> Result<Self, TooFewDescriptors> {
        let aside = RESERVED_DESCRIPTORS + 2 * FILES_AHEAD_MAX as u64 + REFUSALS_MAX + UNTICKETED_MAX;
        let usable = limit.saturating_sub(aside);
        let sessions = max_sessions.unwrap_or(usable / 5 * 4).max(1);
        let data_slots = usable.saturating_sub(sessions) / 2;
        if data_slots < DATA_SLOTS_MIN {
            let needed = aside.saturating_add(sessions).saturating_add(2 * DATA_SLOTS_MIN);
            return Err(TooFewDescriptors { wanted: sessions, needed, limit });
        }
        Ok(Self { sessions, data_slots })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_thousand_descriptors_carry_fifteen_thousand_sessions() {
        let plan = DescriptorPlan::new(20_000, None).unwrap();
        assert!(plan.sessions >= 15_000, "{plan:?}");
        assert!(plan.data_slots >= 1_000, "{plan:?}");
    }

    #[test]
    fn the_plan_never_exceeds_the_limit() {
        for limit in [512, 1024, 4096, 20_000, 1 << 20, u64::MAX] {
            let plan = DescriptorPlan::new(limit, None).unwrap();
            let total =
                plan.sessions + 2 * plan.data_slots + RESERVED_DESCRIPTORS + REFUSALS_MAX + UNTICKETED_MAX;
            assert!(total <= limit, "{plan:?}");
        }
    }

    #[test]
    fn too_much_is_refused_with_the_figure() {
        assert_eq!(DescriptorPlan::new(1024, Some(1000)).unwrap_err().wanted, 1000);
        assert!(DescriptorPlan::new(1024, Some(u64::MAX)).is_err());
        assert!(DescriptorPlan::new(10, None).is_err());
    }
}
