//! What the expressions of a template mean, as far as it is known before a build: variables
//! with their defaults and values, locals, functions. The rest stays as it is written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hcl::eval::{Context, Evaluate as _};
use hcl::expr::{BinaryOperator, ObjectKey, Operation, TraversalOperator};
use hcl::template::Element;
use hcl::{Expression, Number, Template, Value};

use super::functions;
use super::weigh::weight;
use crate::import::report::SENSITIVE;

/// Longer than any name, filter or configuration of an image.
const MOST_BYTES: usize = 256 << 10;

/// More than all variables and locals of a directory take together.
const MOST_BYTES_OF_ALL: usize = 4 << 20;

/// More steps than the templates of a directory take, each evaluated as often as it is named:
/// locals may refer to each other in circles, and double each time.
pub(super) const MOST_STEPS: usize = 1_000_000;

/// How many steps it takes to look at an expression whose value is not known.
const STEPS_OF_A_LOOK: usize = 50;

/// More steps than one expression takes.
const MOST_STEPS_OF_ONE: usize = 50_000;

/// Deeper than locals refer to locals.
const DEEPEST: usize = 64;

/// What an expression means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Known(Value),
    /// As it is written, with what is known filled in.
    Symbolic(String),
}

impl Meaning {
    /// The text, where it is one and known.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Known(value) => functions::word(value).ok(),
            Self::Symbolic(_) => None,
        }
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Known(value) => functions::word(value)
                .unwrap_or_else(|_| Expression::from(value.clone()).to_string()),
            Self::Symbolic(text) => text.clone(),
        }
    }
}

/// The variables and locals that the files of one directory see.
#[derive(Debug)]
pub(super) struct Scope {
    context: Context<'static>,
    variables: BTreeMap<String, Expression>,
    locals: BTreeMap<String, Expression>,
    /// Variables and locals whose values nobody is to see, as `var.x` and `local.y`.
    sensitive: BTreeSet<String>,
    /// What is known of them by now.
    known: BTreeMap<&'static str, hcl::Map<String, Value>>,
    steps: Rc<Cell<usize>>,
    depth: Cell<usize>,
}

impl Scope {
    /// What is among `sensitive`, such as `var.token`, is never known, whatever its value is.
    pub(super) fn new(
        mut variables: BTreeMap<String, Expression>,
        mut locals: BTreeMap<String, Expression>,
        sensitive: BTreeSet<String>,
    ) -> Self {
        variables.retain(|name, _| !sensitive.contains(&format!("var.{name}")));
        locals.retain(|name, _| !sensitive.contains(&format!("local.{name}")));
        let mut context = Context::new();
        functions::declare(&mut context);
        let mut scope = Self {
            context,
            variables,
            locals,
            sensitive,
            known: BTreeMap::new(),
            steps: Rc::default(),
            depth: Cell::new(0),
        };
        scope.settle();
        scope
    }

    /// Whether more was to be evaluated than any template has: not everything is known then
    /// that could be.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps.get() > MOST_STEPS
    }

    /// Declares what is known, until nothing more becomes known: locals may use locals.
    fn settle(&mut self) {
        let mut known = 0;
        for _ in 0..DEEPEST {
            let mut left = MOST_BYTES_OF_ALL;
            let mut of = |named: &BTreeMap<String, Expression>| -> hcl::Map<String, Value> {
                let pairs = named.iter().filter_map(|(name, value)| {
                    let value = self.evaluate(value)?;
                    match left.checked_sub(size(&value)) {
                        Some(rest) => left = rest,
                        None => self.steps.set(MOST_STEPS + 1),
                    }
                    (!self.is_exhausted()).then(|| (name.clone(), value))
                });
                pairs.collect()
            };
            let (variables, locals) = (of(&self.variables), of(&self.locals));
            let now = variables.len() + locals.len();
            self.context.declare_var("var", variables.clone());
            self.context.declare_var("local", locals.clone());
            self.known = BTreeMap::from([("var", variables), ("local", locals)]);
            if now <= known {
                return;
            }
            known = now;
        }
    }

    /// The value that `path` names, where it is known.
    pub(super) fn declared(&self, path: &[String]) -> Option<&Value> {
        let (root, inside) = path.split_first()?;
        let (name, inside) = inside.split_first()?;
        let mut value = self.known.get(root.as_str())?.get(name)?;
        for part in inside {
            value = value.as_object()?.get(part)?;
        }
        Some(value)
    }

    /// With one more variable, for what stands in a `dynamic` block.
    pub(super) fn with(&self, name: &str, value: Value) -> Self {
        let mut context = self.context.clone();
        context.declare_var(hcl::Identifier::sanitized(name), value);
        Self {
            context,
            variables: self.variables.clone(),
            locals: self.locals.clone(),
            sensitive: self.sensitive.clone(),
            known: self.known.clone(),
            steps: Rc::clone(&self.steps),
            depth: Cell::new(0),
        }
    }

    /// What `expression` means.
    pub(super) fn meaning(&self, expression: &Expression) -> Meaning {
        let (steps, depth) = (self.steps.get(), self.depth.get());
        if steps > MOST_STEPS || depth > DEEPEST {
            return self.symbolic(expression);
        }
        self.steps.set(steps + STEPS_OF_A_LOOK);
        self.depth.set(depth + 1);
        let meaning = self.meaning_inside(expression);
        self.depth.set(depth);
        meaning
    }

    fn meaning_inside(&self, expression: &Expression) -> Meaning {
        if let Some(value) = self.evaluate(expression) {
            return Meaning::Known(value);
        }
        if let Some(behind) = self.behind(expression) {
            return self.meaning(behind);
        }
        match expression {
            Expression::Parenthesis(inner) => self.meaning(inner),
            Expression::TemplateExpr(template) => match Template::from_expr(template) {
                Ok(template) => self.template(&template, expression),
                Err(_) => self.symbolic(expression),
            },
            Expression::Null
            | Expression::Bool(_)
            | Expression::Number(_)
            | Expression::String(_)
            | Expression::Array(_)
            | Expression::Object(_)
            | Expression::Variable(_)
            | Expression::Traversal(_)
            | Expression::FuncCall(_)
            | Expression::Conditional(_)
            | Expression::Operation(_)
            | Expression::ForExpr(_) => self.symbolic(expression),
            // The enum may grow with HCL.
            _ => self.symbolic(expression),
        }
    }

    /// As it is written; of what nobody is to see, nothing.
    fn symbolic(&self, expression: &Expression) -> Meaning {
        let text = expression.to_string();
        let is_named = |name: &String| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                let behind = text.get(at + name.len()..).unwrap_or_default();
                !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            })
        };
        match self.sensitive.iter().any(is_named) {
            true => Meaning::Symbolic(SENSITIVE.to_owned()),
            false => Meaning::Symbolic(text),
        }
    }

    /// The elements of a list, or the one value.
    pub(super) fn elements(&self, expression: &Expression) -> Vec<Meaning> {
        match (expression, self.evaluate(expression)) {
            (_, Some(Value::Array(values))) => values.into_iter().map(Meaning::Known).collect(),
            (Expression::Array(elements), None) => {
                elements.iter().map(|element| self.meaning(element)).collect()
            }
            _ => vec![self.meaning(expression)],
        }
    }

    /// The entries of an object, of a local that is one, or of several that are merged; `None`
    /// where it is none, or not known to be one.
    pub(super) fn entries(&self, expression: &Expression) -> Option<Vec<(String, Meaning)>> {
        self.entries_at(expression, 0)
    }

    fn entries_at(&self, expression: &Expression, depth: usize) -> Option<Vec<(String, Meaning)>> {
        if let Some(Value::Object(map)) = self.evaluate(expression) {
            return Some(
                map.into_iter().map(|(key, value)| (key, Meaning::Known(value))).collect(),
            );
        }
        if depth > 8 {
            return None;
        }
        if let Some(behind) = self.behind(expression) {
            return self.entries_at(behind, depth + 1);
        }
        if let Expression::Object(object) = expression {
            let entry = |(key, value): (&ObjectKey, &Expression)| {
                let key = key.evaluate(&self.context).unwrap_or_else(|_| key.to_string());
                (key, self.meaning(value))
            };
            return Some(object.iter().map(entry).collect());
        }
        let Expression::FuncCall(call) = expression else { return None };
        if call.name.name.as_str() != "merge" {
            return None;
        }
        let parts = call.args.iter().map(|part| self.entries_at(part, depth + 1));
        Some(parts.collect::<Option<Vec<_>>>()?.concat())
    }

    /// The parts of a reference such as `data.amazon-ami.nixos.id`, also where locals and
    /// `"${…}"` lie around it.
    pub(super) fn reference(&self, expression: &Expression) -> Option<Vec<String>> {
        let mut expression = expression.clone();
        for _ in 0..16 {
            if let Some(behind) = self.behind(&expression) {
                expression = behind.clone();
                continue;
            }
            if let Expression::Parenthesis(inner) = expression {
                expression = *inner;
                continue;
            }
            let Expression::TemplateExpr(template) = expression else { return path(&expression) };
            let template = Template::from_expr(&template).ok()?;
            let [Element::Interpolation(one)] = template.elements() else { return None };
            expression = one.expr.clone();
        }
        None
    }

    /// The expression of the variable or local that `expression` is, where its value is
    /// not known.
    fn behind(&self, expression: &Expression) -> Option<&Expression> {
        let path = path(expression)?;
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["var", name] => self.variables.get(*name),
            ["local", name] => self.locals.get(*name),
            _ => None,
        }
    }

    fn template(&self, template: &Template, whole: &Expression) -> Meaning {
        let mut text = String::new();
        for element in template.elements() {
            match element {
                Element::Literal(literal) => text += literal,
                Element::Interpolation(interpolation) => {
                    match self.meaning(&interpolation.expr) {
                        known @ Meaning::Known(_) => text += &known.shown(),
                        // What is itself a template brings its `${…}` along.
                        Meaning::Symbolic(inner) if inner.contains("${") => text += &inner,
                        Meaning::Symbolic(inner) => text += &format!("${{{inner}}}"),
                    }
                }
                Element::Directive(_) => return self.symbolic(whole),
            }
            if text.len() > MOST_BYTES {
                return self.symbolic(whole);
            }
        }
        Meaning::Symbolic(text)
    }

    /// The value, where everything in it is known.
    pub(super) fn evaluate(&self, expression: &Expression) -> Option<Value> {
        if self.is_exhausted() {
            return None;
        }
        if let Expression::Operation(operation) = expression
            && let Operation::Binary(binary) = operation.as_ref()
            && is_arithmetic(binary.operator)
        {
            let number = |side| self.evaluate(side)?.as_f64();
            let (left, right) = (number(&binary.lhs_expr)?, number(&binary.rhs_expr)?);
            return calculated(left, binary.operator, right).map(Value::Number);
        }
        let weight = weight(self, expression, MOST_STEPS_OF_ONE);
        self.steps.set(self.steps.get().saturating_add(weight.unwrap_or(STEPS_OF_A_LOOK)));
        weight?;
        expression.evaluate(&self.context).ok().filter(|value| size(value) <= MOST_BYTES)
    }
}

/// `a.b["c"]` as its parts.
pub(super) fn path(expression: &Expression) -> Option<Vec<String>> {
    let Expression::Traversal(traversal) = expression else { return None };
    let Expression::Variable(root) = &traversal.expr else { return None };
    let mut path = vec![root.as_str().to_owned()];
    for operator in &traversal.operators {
        match operator {
            TraversalOperator::GetAttr(name) => path.push(name.as_str().to_owned()),
            TraversalOperator::Index(Expression::String(name)) => path.push(name.clone()),
            TraversalOperator::Index(_)
            | TraversalOperator::LegacyIndex(_)
            | TraversalOperator::AttrSplat
            | TraversalOperator::FullSplat => return None,
        }
    }
    Some(path)
}

/// Whether `operator` makes a number of numbers.
pub(super) fn is_arithmetic(operator: BinaryOperator) -> bool {
    use BinaryOperator::{Div, Minus, Mod, Mul, Plus};
    matches!(operator, Plus | Minus | Mul | Div | Mod)
}

fn calculated(left: f64, operator: BinaryOperator, right: f64) -> Option<Number> {
    let result = match operator {
        BinaryOperator::Plus => left + right,
        BinaryOperator::Minus => left - right,
        BinaryOperator::Mul => left * right,
        BinaryOperator::Div => left / right,
        BinaryOperator::Mod => left % right,
        BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::LessEq
        | BinaryOperator::GreaterEq
        | BinaryOperator::Less
        | BinaryOperator::Greater
        | BinaryOperator::And
        | BinaryOperator::Or => return None,
    };
    Number::from_f64(result)
}

/// What a value takes, in bytes.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 8 + text.len(),
        Value::Array(values) => 8 + values.iter().map(size).sum::<usize>(),
        Value::Object(map) => {
            8 + map.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
