//! The arguments of a filter, by place or by name, as Python has them.

use minijinja::value::{Kwargs, Rest, Value, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind};

use super::python;

/// What follows the value that is filtered.
pub(super) struct Arguments {
    names: &'static [&'static str],
    values: Vec<Option<Value>>,
}

impl Arguments {
    /// Sorts `given` by `names`, which are in the order of Python's signature.
    pub(super) fn new(
        names: &'static [&'static str],
        given: &Rest<ValueOrKwargs>,
    ) -> Result<Self, Error> {
        let (places, mut sorted) = Self::after_places(names, given)?;
        if places.len() > names.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        for (value, place) in sorted.values.iter_mut().zip(places) {
            *value = value.take().or(Some(place));
        }
        Ok(sorted)
    }

    /// The same for a filter that takes any number of values by place, and `names` by name.
    pub(super) fn after_places(
        names: &'static [&'static str],
        given: &Rest<ValueOrKwargs>,
    ) -> Result<(Vec<Value>, Self), Error> {
        let values: Vec<Value> = given.iter().cloned().map(ValueOrKwargs::into_value).collect();
        let (places, named): (&[Value], Kwargs) = from_args(&values)?;
        let places = places.to_vec();
        let mut values = vec![None; names.len()];
        for name in named.args() {
            let place = names.iter().position(|known| *known == name);
            let place = place.ok_or_else(|| fault(format!("it takes no `{name}`")))?;
            values[place] = Some(named.peek(name)?);
        }
        Ok((places, Self { names, values }))
    }

    /// The value of `name`, unless it was left out.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let place = self.names.iter().position(|known| *known == name)?;
        self.values.get(place)?.as_ref()
    }

    /// As text; `None` counts as left out.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        self.value(name).filter(|value| !value.is_none()).map(python::string).transpose()
    }

    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, Error> {
        let value = self.value(name).filter(|value| !value.is_none());
        value
            .map(|value| {
                value.as_i64().ok_or_else(|| fault(format!("`{name}` is no whole number")))
            })
            .transpose()
    }

    pub(super) fn yes(&self, name: &str) -> bool {
        self.value(name).is_some_and(Value::is_true)
    }
}

/// What is wrong with how a filter is used.
pub(super) fn fault(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}
