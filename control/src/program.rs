//! Programs that we start. None of them sees our secrets, whoever starts it and whatever
//! it is: a hook of git is somebody else's program as well.

use std::ffi::OsStr;

use tokio::process::Command;

use crate::signing::SECRET_VARIABLES;

/// `program`, with everything of our environment but what is secret.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command
}
