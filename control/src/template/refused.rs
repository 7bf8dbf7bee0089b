//! What templates may not do: bring in something of the machine that renders them, or
//! something that is another one each time.

use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind};

/// Names that Ansible knows, each of which says why it is not here.
pub(super) fn add(environment: &mut Environment<'static>) {
    for name in ["lookup", "query", "q"] {
        environment.add_function(name, move |arguments: Rest<ValueOrKwargs>| {
            let what = arguments.into_values();
            let what = what.first().and_then(|what| what.as_str().map(str::to_owned));
            let what = what.map_or_else(|| name.to_owned(), |what| format!("{name}('{what}')"));
            Err::<Value, Error>(refused(format!("`{what}` {MACHINE}")))
        });
    }
    for name in ["now", "undef"] {
        environment.add_function(name, move |_: Rest<ValueOrKwargs>| {
            Err::<Value, Error>(refused(format!("`{name}()` {MACHINE}")))
        });
    }
    for name in ["expanduser", "expandvars", "realpath", "fileglob", "vault", "unvault"] {
        environment.add_filter(name, move |_: Value, _: Rest<ValueOrKwargs>| {
            Err::<Value, Error>(refused(format!("the filter `{name}` {MACHINE}")))
        });
    }
    for name in ["random", "shuffle", "random_mac", "strftime"] {
        environment.add_filter(name, move |_: Value, _: Rest<ValueOrKwargs>| {
            Err::<Value, Error>(refused(format!(
                "the filter `{name}` would give another bundle each time"
            )))
        });
    }
    environment.add_global(
        "omit",
        Value::from(refused("`omit` leaves out an option of a task; here is none".to_owned())),
    );
    // Built in, and prints everything that is known.
    environment.remove_global("debug");
}

const MACHINE: &str = "is refused: a bundle is made of the repository alone; \
                       put the value into group_vars/all/vault";

fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}
