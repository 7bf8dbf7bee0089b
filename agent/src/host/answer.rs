//! systemd is asked until it answers.

use std::time::Duration;

use tokio::time::sleep;

use super::process::{self, Output};
use crate::backoff::Backoff;

/// Asks until what is said `is_answer`, or for some seconds: while systemd executes itself
/// anew, which every switch to another systemd has it do, it hears nobody (systemctl(1),
/// `daemon-reexec`), and that it was just then is no news of the machine. Only for what may
/// be asked as often as one likes.
///
/// # Errors
///
/// What it said last, or that it could not be asked at all.
pub(super) async fn answer<A: Future<Output = Result<Output, process::Error>>>(
    asking: impl Fn() -> A,
    is_answer: impl Fn(&Output) -> bool,
) -> Result<Output, process::Error> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
    let mut tries = 1;
    loop {
        let output = asking().await?;
        if is_answer(&output) {
            return Ok(output);
        }
        if tries == TRIES {
            return output.success();
        }
        tries += 1;
        let wait = backoff.next_wait();
        log::debug!(wait:? = wait; "systemd does not answer; asking again");
        sleep(wait).await;
    }
}

/// With waits between them that come to some ten seconds.
const TRIES: u32 = 12;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::activation::verdict::Ended;
    use crate::host::process::Process;

    #[tokio::test]
    async fn t116_what_is_no_answer_is_asked_for_again() {
        let asked = Cell::new(0);
        let third = |output: &Output| {
            asked.set(asked.get() + 1);
            output.ended() == Ended::Exit(1) && asked.get() == 3
        };
        assert!(answer(|| Process::new("false").output(), third).await.is_ok());
        assert_eq!(asked.get(), 3);
    }
}
