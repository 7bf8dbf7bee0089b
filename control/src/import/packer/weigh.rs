//! How much it takes to evaluate an expression, before it is: loops in loops, and texts that are
//! put together of long texts, grow beyond all bounds. What calculates weighs too much.

use hcl::expr::{ForExpr, ObjectKey, Operation, TraversalOperator};
use hcl::template::Element;
use hcl::{Expression, Template, Value};

use super::evaluate::{Scope, is_arithmetic, path, size};

/// Deeper than people nest brackets.
const DEEPEST: usize = 200;

/// How many bytes weigh as much as one step.
const BYTES: usize = 64;

/// The names that a loop declares, and the most elements that anything in them has.
struct Loop {
    names: Vec<String>,
    widest: usize,
}

/// What `expression` weighs in `scope`: steps, with each element of a loop and the length of what
/// it names. `None` where that is more than `most`, or where numbers are calculated in it: the
/// evaluator asserts that results are finite, which nobody has checked.
pub(super) fn weight(scope: &Scope, expression: &Expression, most: usize) -> Option<usize> {
    Scales { scope, loops: Vec::new(), depth: 0 }.weight(expression, most)
}

struct Scales<'a> {
    scope: &'a Scope,
    loops: Vec<Loop>,
    depth: usize,
}

impl Scales<'_> {
    fn weight(&mut self, expression: &Expression, most: usize) -> Option<usize> {
        if self.depth > DEEPEST || most == 0 {
            return None;
        }
        self.depth += 1;
        let weight = self.weight_inside(expression, most);
        self.depth -= 1;
        weight
    }

    fn weight_inside(&mut self, expression: &Expression, most: usize) -> Option<usize> {
        match expression {
            Expression::Null | Expression::Bool(_) | Expression::Number(_) => Some(1),
            Expression::String(text) => bounded(1 + text.len() / BYTES, most),
            Expression::Variable(name) => bounded(1 + self.of_root(name.as_str()) / BYTES, most),
            Expression::Array(elements) => self.all(elements.iter(), most),
            Expression::Object(object) => {
                let mut parts = Vec::new();
                for (key, value) in object.iter() {
                    match key {
                        ObjectKey::Expression(key) => parts.push(key),
                        ObjectKey::Identifier(_) => {}
                        // The enum may grow with HCL.
                        _ => return None,
                    }
                    parts.push(value);
                }
                self.all(parts.into_iter(), most)
            }
            Expression::TemplateExpr(template) => {
                let template = Template::from_expr(template).ok()?;
                let mut weight = 1;
                for element in template.elements() {
                    let left = most.checked_sub(weight)?;
                    weight += match element {
                        Element::Literal(text) => bounded(1 + text.len() / BYTES, left)?,
                        Element::Interpolation(one) => self.weight(&one.expr, left)?,
                        // Loops and conditions in texts are rare, and not looked into.
                        Element::Directive(_) => return None,
                    };
                }
                Some(weight)
            }
            Expression::Traversal(traversal) => {
                let indices = traversal.operators.iter().filter_map(|operator| match operator {
                    TraversalOperator::Index(index) => Some(index),
                    TraversalOperator::GetAttr(_)
                    | TraversalOperator::LegacyIndex(_)
                    | TraversalOperator::AttrSplat
                    | TraversalOperator::FullSplat => None,
                });
                let indices: Vec<&Expression> = indices.collect();
                let inside = self.all(indices.into_iter(), most)?;
                let left = most.checked_sub(inside)?;
                let named = path(expression).and_then(|path| self.of_path(&path));
                let value = match named {
                    Some(bytes) => bounded(1 + bytes / BYTES, left)?,
                    None => self.weight(&traversal.expr, left)?,
                };
                Some(inside + value)
            }
            Expression::FuncCall(call) => self.all(call.args.iter(), most),
            Expression::Parenthesis(inner) => self.weight(inner, most),
            Expression::Conditional(it) => {
                self.all([&it.cond_expr, &it.true_expr, &it.false_expr].into_iter(), most)
            }
            Expression::Operation(operation) => match operation.as_ref() {
                Operation::Unary(unary) => self.weight(&unary.expr, most),
                Operation::Binary(binary) if is_arithmetic(binary.operator) => None,
                Operation::Binary(binary) => {
                    self.all([&binary.lhs_expr, &binary.rhs_expr].into_iter(), most)
                }
            },
            Expression::ForExpr(each) => self.of_loop(each, most),
            // The enum may grow with HCL.
            _ => None,
        }
    }

    fn all<'e>(
        &mut self,
        parts: impl Iterator<Item = &'e Expression>,
        most: usize,
    ) -> Option<usize> {
        let mut weight = 1;
        for part in parts {
            weight += self.weight(part, most.checked_sub(weight)?)?;
        }
        Some(weight)
    }

    /// What is done for each element, as often as there are elements. A loop in a loop that goes
    /// through a part of its element has at most as many as any part has.
    fn of_loop(&mut self, each: &ForExpr, most: usize) -> Option<usize> {
        let (elements, widest) = match self.scope.evaluate(&each.collection_expr) {
            Some(collection) => (elements(&collection), widest_part(&collection)),
            None => {
                let path = if let Expression::Variable(name) = &each.collection_expr {
                    vec![name.as_str().to_owned()]
                } else {
                    path(&each.collection_expr)?
                };
                let root = path.first()?;
                let around = self.loops.iter().rev().find(|it| it.names.contains(root))?;
                (around.widest, around.widest)
            }
        };
        let names = each.key_var.iter().chain([&each.value_var]);
        let names = names.map(|name| name.as_str().to_owned()).collect();
        let elements = elements.max(1);
        self.loops.push(Loop { names, widest });
        let parts = [Some(&each.value_expr), each.key_expr.as_ref(), each.cond_expr.as_ref()];
        let one = self.all(parts.into_iter().flatten(), most / elements);
        self.loops.pop();
        one?.checked_mul(elements)
    }

    /// How long the value is that `path` names; `None` where nothing is known of it.
    fn of_path(&self, path: &[String]) -> Option<usize> {
        if let Some(around) = path.first().and_then(|root| self.around(root)) {
            return Some(around);
        }
        self.scope.declared(path).map(size)
    }

    fn of_root(&self, name: &str) -> usize {
        self.around(name).unwrap_or_default()
    }

    /// How long an element of the loop that declares `name` may be: its parts are counted, and
    /// texts in it are bounded by what a value may be at all.
    fn around(&self, name: &str) -> Option<usize> {
        let around = self.loops.iter().rev().find(|it| it.names.iter().any(|it| it == name));
        around.map(|around| around.widest * BYTES)
    }
}

fn bounded(weight: usize, most: usize) -> Option<usize> {
    (weight <= most).then_some(weight)
}

fn elements(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.len(),
        Value::Object(map) => map.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The most elements, or the steps of the longest text, of `value` and of anything in it.
fn widest(value: &Value) -> usize {
    let own = match value {
        Value::String(text) => 1 + text.len() / BYTES,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            elements(value)
        }
    };
    own.max(widest_part(value))
}

/// The same of what is in `value`.
fn widest_part(value: &Value) -> usize {
    let widest = match value {
        Value::Array(values) => values.iter().map(widest).max(),
        Value::Object(map) => map.values().map(widest).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    widest.unwrap_or_default()
}
