//! What is pushed, and what is struck when: a function of the seed. The machine's own
//! pace is none, so that the same seed asks for the same and need not hit the same.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// One push, and what happens to the host meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// What is new.
    pub change: Change,
    /// In the order in which it happens; the first counts from the push, each other one from
    /// the one before.
    pub blows: Vec<Blow>,
}

/// What a push brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A system that is good, and slow to be activated.
    Good,
    /// A good system with another kernel: it is booted.
    Kernel,
    /// A good system whose agent's unit is another.
    AgentUnit,
    /// A unit that fails.
    Sick,
    /// An activation that ends half way.
    Dies,
    /// A kernel that panics.
    Panics,
    /// A boot loader that cannot be installed.
    BootLoader,
    /// It cannot be built.
    Broken,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blow {
    /// What.
    pub target: Target,
    /// After so many writes of the activation's journal,
    pub writes: u64,
    /// and so much time. Zero is before what was written ahead is begun.
    pub delay: Duration,
}

/// What is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The agent with its children: SIGKILL. systemd starts it again.
    Agent,
    /// The transient unit of the switch, whichever it is: SIGKILL.
    Switch,
    /// The transient unit of the build.
    Build,
    /// The agent, for good; and then the guard that goes back in its place. Both SIGKILL.
    Guard,
    /// All of the host at once; then it boots.
    Power,
}

impl Target {
    /// How many processes or machines that kills.
    pub fn kills(self) -> usize {
        if self == Self::Guard { 2 } else { 1 }
    }
}

/// The rounds of lane number `lane`: at least `kills` blows, as far as all of them hit.
pub fn rounds(seed: u64, lane: u64) -> impl Iterator<Item = Round> {
    let mut random = Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(lane));
    std::iter::repeat_with(move || round(&mut random))
}

fn round(random: &mut Rng) -> Round {
    let change = match random.u8(0..20) {
        0..7 => Change::Good,
        7..11 => Change::Kernel,
        11 | 12 => Change::AgentUnit,
        13 | 14 => Change::Sick,
        15 => Change::Dies,
        16 | 17 => Change::Panics,
        18 => Change::BootLoader,
        _ => Change::Broken,
    };
    let blows = (0..random.usize(1..=3)).map(|_| blow(random)).collect();
    Round { change, blows }
}

fn blow(random: &mut Rng) -> Blow {
    let target = match random.u8(0..10) {
        0..3 => Target::Agent,
        3..5 => Target::Switch,
        5 => Target::Build,
        6 => Target::Guard,
        _ => Target::Power,
    };
    // An activation that succeeds writes ten times, one that reboots twelve times.
    let writes = random.u64(1..=9);
    let delay = match random.u8(0..3) {
        0 => 0,
        1 => random.u64(0..50),
        _ => random.u64(0..2000),
    };
    Blow { target, writes, delay: Duration::from_millis(delay) }
}

impl Change {
    /// Whether a host may come to keep it.
    pub fn is_good(self) -> bool {
        match self {
            Self::Good | Self::Kernel | Self::AgentUnit => true,
            Self::Sick | Self::Dies | Self::Panics | Self::BootLoader | Self::Broken => false,
        }
    }

    /// The module that is pushed as number `number`; `kernel` is the one that is kept.
    pub fn module(self, number: u32, kernel: u32) -> String {
        let kernel = if self == Self::Kernel { number } else { kernel };
        let fault = match self {
            Self::Good => "standin.activationDelay = 1;",
            Self::Kernel => "",
            Self::AgentUnit => &format!(
                "systemd.services.floe-agent.environment.NOTE = \"{number}\"; standin.buildDelay = 1;"
            ),
            Self::Sick => {
                "systemd.services.sick = { script = \"exit 7\"; wantedBy = [ \"multi-user.target\" ]; };"
            }
            Self::Dies => "standin.activationDies = true;",
            Self::Panics => "standin.kernelPanics = true;",
            Self::BootLoader => "standin.bootloaderFailsLate = true;",
            Self::Broken => "standin.buildFails = true;",
        };
        format!(
            "  environment.etc.chaos.text = \"{number}\";\n  standin.kernel = \"6.12.{kernel}\";\n  {fault}"
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "a good system",
            Self::Kernel => "a good kernel",
            Self::AgentUnit => "another agent's unit",
            Self::Sick => "a unit that fails",
            Self::Dies => "an activation that dies",
            Self::Panics => "a kernel that panics",
            Self::BootLoader => "a failing boot loader",
            Self::Broken => "a broken build",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent => "kill -9 of the agent",
            Self::Switch => "kill -9 of the switch",
            Self::Build => "kill -9 of the build",
            Self::Guard => "kill -9 of the agent for good, and of the guard",
            Self::Power => "power cut",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_lane_are_a_plan() {
        let plan = |seed, lane| rounds(seed, lane).take(50).collect::<Vec<_>>();
        assert_eq!(plan(7, 1), plan(7, 1));
        assert_ne!(plan(7, 1), plan(7, 2));
        assert_ne!(plan(7, 1), plan(8, 1));
    }

    #[test]
    fn everything_is_pushed_and_struck() {
        let plan: Vec<_> = rounds(1, 0).take(200).collect();
        let targets = [Target::Agent, Target::Switch, Target::Build, Target::Guard, Target::Power];
        for target in targets {
            assert!(plan.iter().flat_map(|round| &round.blows).any(|blow| blow.target == target));
        }
        for good in [true, false] {
            assert!(plan.iter().any(|round| round.change.is_good() == good));
        }
    }
}
