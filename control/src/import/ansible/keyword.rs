//! What becomes of the keywords of plays and tasks (Ansible's page "Playbook Keywords"). Those
//! that say when a task runs are in [`super::runs`].

use crate::import::report::Outcome;

/// Of a task, whatever its module; `None` where the key is no keyword.
pub(super) fn of_task(key: &str) -> Option<Outcome> {
    let outcome = match key {
        "become" | "become_user" | "become_method" | "become_flags" | "become_exe" => {
            Outcome::NotNeeded("the agent runs as root".into())
        }
        "connection" | "remote_user" | "port" | "delegate_to" | "delegate_facts" => {
            Outcome::NotNeeded("nothing connects to a host".into())
        }
        "register" | "changed_when" | "failed_when" | "ignore_errors" | "until" | "retries"
        | "delay" | "any_errors_fatal" | "ignore_unreachable" | "async" | "poll" | "timeout" => {
            Outcome::Replaced(
                "the verdict on an activation: [health] and [activation] of host.toml".into(),
            )
        }
        "notify" | "listen" => {
            Outcome::Replaced("the switch, which restarts the units that changed".into())
        }
        "tags" | "run_once" | "throttle" | "order" | "debugger" => {
            Outcome::NotNeeded("there is one configuration, and it is applied whole".into())
        }
        "no_log" | "diff" | "check_mode" => {
            Outcome::NotNeeded("secrets never travel with the configuration".into())
        }
        "environment" => Outcome::NotSupported(
            "there is no command that would see it; say it in configuration.nix".into(),
        ),
        "loop_control" | "module_defaults" | "collections" => {
            Outcome::NotNeeded("no module is run".into())
        }
        _ => return None,
    };
    Some(outcome)
}

/// Of a play, besides what is read.
pub(super) fn of_play(key: &str) -> Outcome {
    match key {
        "gather_facts" | "gather_subset" | "fact_path" | "gather_timeout" | "strategy" => {
            Outcome::NotNeeded("nothing is run on the hosts".into())
        }
        "serial" | "max_fail_percentage" => {
            Outcome::Replaced("waves and the failure budget: floe rollout start --waves".into())
        }
        "vars_prompt" => {
            Outcome::NotSupported("nobody is asked; write the variable into the vault".into())
        }
        "force_handlers" => {
            Outcome::Replaced("the switch, which restarts the units that changed".into())
        }
        key => of_task(key)
            .unwrap_or_else(|| Outcome::NotSupported("floe does not know this keyword".into())),
    }
}
