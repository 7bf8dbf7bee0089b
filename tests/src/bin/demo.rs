//! `make demo`: the main job, seen from the operator's chair.
//!
//! A control plane and three hosts of two roles. Version 1 comes to all of them;
//! version 2 of the website is sick, so its canary goes back by itself and the other
//! host is not touched, while the mail server's version 2 is kept. Ends with 0 only
//! if all of that was observed on the machines themselves; leaves nothing running.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a demonstration that cannot go on should stop, and it talks to people"
)]

use std::io::{IsTerminal as _, stdout};

use floe_tests::world::World;

const WWW: &str = "www.fossable.org";
const MAIL: &str = "mail.fossable.org";

#[tokio::main]
async fn main() {
    say("A control plane, two web servers and a mail server come up.\n\
         Each host is a container with a systemd, a Nix and a disk of its own.");
    let world = World::of(&[(WWW, 2), (MAIL, 1)]).await;
    let operator = world.operator();
    assert_eq!(operator.show(&["hosts", "list"]).await, 0);

    say("Version 1 of both roles: the configuration.nix of the article, as it is.");
    world.repository.change(WWW, "  systemd.services.website.environment.VERSION = \"1\";");
    world.repository.change(MAIL, "  systemd.services.mail.environment.NAME = \"mail-1\";");
    assert_eq!(operator.show(&["push", WWW, "--watch"]).await, 0);
    assert_eq!(operator.show(&["push", MAIL, "--watch"]).await, 0);
    let mut version_1 = Vec::new();
    for host in &world.hosts {
        let state = host.state().await;
        assert!(state.is_settled(), "{} runs, keeps and would boot version 1", host.name());
        version_1.push(state);
    }

    say("Version 2: the mail server's is good, the website's answers 503 to its health check.");
    world.repository.change(
        WWW,
        "  systemd.services.website.environment = { VERSION = \"2\"; STATUS = \"503\"; };",
    );
    world.repository.change(MAIL, "  systemd.services.mail.environment.NAME = \"mail-2\";");
    assert_eq!(operator.show(&["push", MAIL, "--watch"]).await, 0);
    assert_eq!(operator.show(&["push", WWW, "--watch"]).await, 1, "the push says that it failed");

    for (host, version_1) in world.hosts.iter().zip(version_1) {
        let state = host.state().await;
        assert!(state.is_settled(), "{} is in one piece", host.name());
        let is_mail = host.name().starts_with("mail");
        assert_eq!(state != version_1, is_mail, "{} is where it should be", host.name());
    }
    let serving = "python3 -c \"import urllib.request as u; \
                   print(u.urlopen('http://127.0.0.1:8080/healthz').read().decode().strip())\"";
    let page = world.hosts[0].shell(serving).await;
    assert_eq!(page, "ok 1", "the website still serves version 1");

    say("The mail server confirmed version 2. The website's canary went back by itself,\n\
         and the second web server was never touched:");
    assert_eq!(operator.show(&["hosts", "list"]).await, 0);
    drop(world);
    say("All of this was checked on the machines. Nothing is left running.\n\
         To look further: `tests/world/dev` keeps such a fleet up and says how to type `floe` at it:\n\
         `floe hosts show`, `floe hosts logs`, `floe rollout show`. docs/architecture.md has the picture.");
}

/// A paragraph for people, which stands out where that can be seen.
fn say(text: &str) {
    let (bold, plain) = if stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!();
    for line in text.lines() {
        println!("{bold}# {line}{plain}");
    }
}
