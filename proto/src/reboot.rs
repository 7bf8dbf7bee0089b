//! When a host may be rebooted for a new system: part of what is signed. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Whether and when a host reboots into the system that it tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// On what occasion.
    pub policy: Policy,
    /// Only in these hours; at any time where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// On what occasion a host reboots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Never. A new kernel runs after whatever reboot comes next; a system that cannot be
    /// switched to without a reboot is not tried.
    #[default]
    Never,
    /// Where the new system only runs whole after a reboot.
    IfNeeded,
    /// With each new system.
    Always,
}

impl Reboot {
    /// No reboot at all, which is what a manifest says that says nothing.
    pub fn is_never(&self) -> bool {
        *self == Self::default()
    }

    /// How long after `now` a reboot may begin; zero for at once.
    pub fn wait(&self, now: Timestamp) -> Duration {
        self.window.map_or(Duration::ZERO, |window| window.opens_in(now))
    }

    /// Whether it contradicts itself.
    pub(crate) fn is_sound(&self) -> bool {
        self.policy != Policy::Never || self.window.is_none()
    }
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Never, Self::IfNeeded, Self::Always];

    /// As it is written in a manifest and in `host.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::IfNeeded => "if-needed",
            Self::Always => "always",
        }
    }
}

impl FromStr for Policy {
    type Err = InvalidPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidPolicy> {
        let known = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        known.ok_or_else(|| InvalidPolicy { text: text.chars().take(80).collect() })
    }
}

/// The text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is none of `never`, `if-needed`, `always`")]
pub struct InvalidPolicy {
    text: String,
}

/// Hours of each day, in UTC, from the first minute to before the last; may cross
/// midnight. Written `02:00-04:30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    from: u16,
    to: u16,
}

impl Window {
    /// How long after `now` it is open; zero while it is.
    pub fn opens_in(self, now: Timestamp) -> Duration {
        let of_day = now.as_micros().rem_euclid(DAY);
        let (from, to) = (micros(self.from), micros(self.to));
        let is_open =
            if from < to { (from..to).contains(&of_day) } else { of_day >= from || of_day < to };
        let wait = if is_open { 0 } else { (from - of_day).rem_euclid(DAY) };
        Duration::from_micros(wait.unsigned_abs())
    }
}

const DAY: i64 = 86_400_000_000;

fn micros(minute: u16) -> i64 {
    i64::from(minute) * 60_000_000
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let parsed = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (minute(from)?, minute(to)?);
            (from != to).then_some(Self { from, to })
        });
        parsed.ok_or_else(|| InvalidWindow { text: text.chars().take(80).collect() })
    }
}

/// The minute of the day of `HH:MM`, in this one form.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

impl TryFrom<String> for Window {
    type Error = InvalidWindow;

    fn try_from(text: String) -> Result<Self, InvalidWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

/// The text is no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no window of a day such as `02:00-04:30` (UTC)")]
pub struct InvalidWindow {
    text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opens_in(window: &str, time: &str) -> u64 {
        let window: Window = window.parse().unwrap();
        let now: Timestamp = format!("2026-11-27T{time}Z").parse().unwrap();
        window.opens_in(now).as_secs()
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_to_before_its_last() {
        assert_eq!(opens_in("02:00-04:00", "02:00:00"), 0);
        assert_eq!(opens_in("02:00-04:00", "03:59:59"), 0);
        assert_eq!(opens_in("02:00-04:00", "04:00:00"), 22 * 3600);
        assert_eq!(opens_in("02:00-04:00", "01:59:58"), 2);
    }

    #[test]
    fn a_window_may_cross_midnight() {
        assert_eq!(opens_in("23:30-01:00", "23:30:00"), 0);
        assert_eq!(opens_in("23:30-01:00", "00:59:59"), 0);
        assert_eq!(opens_in("23:30-01:00", "01:00:00"), 22 * 3600 + 1800);
    }

    #[test]
    fn a_window_has_one_form() {
        for bad in
            ["", "02:00", "2:00-04:00", "02:00-24:00", "02:60-04:00", "02:00-02:00", "+2:00-04:00"]
        {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_window_without_a_reboot_makes_no_sense() {
        let window = "02:00-04:00".parse().ok();
        assert!(!Reboot { policy: Policy::Never, window }.is_sound());
        assert!(Reboot { policy: Policy::IfNeeded, window }.is_sound());
    }

    proptest! {
        #[test]
        fn after_the_wait_it_is_open(from in 0u16..1440, to in 0u16..1440, now in any::<i32>()) {
            prop_assume!(from != to);
            let window = Window { from, to };
            prop_assert_eq!(window.to_string().parse::<Window>(), Ok(window));
            let now = Timestamp::from_micros(i64::from(now) * 1_000_003);
            let then = now.after(window.opens_in(now));
            prop_assert_eq!(window.opens_in(then), Duration::ZERO);
        }
    }
}
