//! What a template is made of, without rendering it: the variables that it names, the filters
//! that it uses, and what is wrong with it.
//!
//! The only file that sees minijinja's tree of a template, for which it promises no stable
//! interface (`unstable_machinery`): Cargo.lock says which minijinja that is.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::Value;
use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::parse;

use super::error::Error;
use super::render::{body, environment, syntax};
use super::salted::Marked;
use super::salts::SaltDesk;
use super::scope::Shared;
use crate::vault::{Route, Step, Tree};

/// Something that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, where it is known, likewise.
    pub column: Option<usize>,
    /// What is wrong.
    pub why: String,
}

/// What is wrong with the template `text`, whatever its variables are: where it cannot be read,
/// and filters and tests that nobody knows.
pub fn faults(name: &str, text: &str) -> Vec<Fault> {
    let statement = match parse(body(text), name, syntax()) {
        Ok(statement) => statement,
        Err(error) => {
            let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            return vec![Fault { line: error.line().unwrap_or(1), column: None, why }];
        }
    };
    let (desk, _requests) = SaltDesk::open(name);
    let shared = Arc::new(Shared::new(Tree::Null, desk));
    let environment = environment(&shared, &Marked::nothing(text));
    let is_known = |kind: &str, name: &str| {
        let asked = environment.compile_expression(if kind == "filter" {
            "it is filter"
        } else {
            "it is test"
        });
        let answer = asked.and_then(|asked| asked.eval(Value::from_pairs([("it", name)])));
        answer.is_ok_and(|answer| answer.is_true())
    };
    let mut faults = Vec::new();
    each_expression(&statement, &mut |expression| {
        let (kind, name, span) = if let Expr::Filter(filter) = expression {
            ("filter", filter.name, filter.span())
        } else if let Expr::Test(test) = expression {
            ("test", test.name, test.span())
        } else {
            return; // whatever else minijinja reads, it knows
        };
        if !is_known(kind, name) {
            let (line, column) = (span.start_line.into(), Some(usize::from(span.start_col) + 1));
            faults.push(Fault { line, column, why: format!("the {kind} `{name}` is not known") });
        }
    });
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults
}

/// The ways to the variables that the template `text` names.
///
/// # Errors
///
/// [`Error`] where it cannot be read.
pub fn variables(name: &str, text: &str) -> Result<BTreeSet<Route>, Error> {
    let statement =
        parse(body(text), name, syntax()).map_err(|error| Error::new(name, &error, &Tree::Null))?;
    let mut found = BTreeSet::new();
    outermost(&statement).into_iter().for_each(|expression| routes(expression, &mut found));
    Ok(found)
}

/// The ways in `expression`, each whole.
fn routes(expression: &Expr<'_>, found: &mut BTreeSet<Route>) {
    match route(expression) {
        Some((first, rest)) => {
            found.insert(Route::new(first, rest));
        }
        None => parts(expression).into_iter().for_each(|part| routes(part, found)),
    }
}

/// A filter in a template.
pub(super) struct Use {
    /// Where its name begins.
    pub(super) at: usize,
    /// The expression that it filters, and what it does to it.
    pub(super) expression: String,
}

/// Where the template `text` uses the filter `name`, in the order of the text; nowhere where
/// it cannot be read.
pub(super) fn uses(text: &str, name: &str) -> Vec<Use> {
    let Ok(statement) = parse(text, "", syntax()) else { return Vec::new() };
    let mut found = Vec::new();
    each_expression(&statement, &mut |expression| {
        let Expr::Filter(filter) = expression else { return };
        let span = filter.span();
        let (at, end) = (offset(span.start_offset), offset(span.end_offset));
        let written = text.get(start(expression)..end).unwrap_or_default();
        if filter.name == name && text.get(at..).is_some_and(|rest| rest.starts_with(name)) {
            let words: Vec<_> = written.split_whitespace().collect();
            found.push(Use { at, expression: words.join(" ") });
        }
    });
    found.sort_by_key(|found| found.at);
    found.dedup_by_key(|found| found.at);
    found
}

/// A path of names and constant places.
fn route(expression: &Expr<'_>) -> Option<(String, Vec<Step>)> {
    if let Expr::Var(variable) = expression {
        return Some((variable.id.to_owned(), Vec::new()));
    }
    let (inner, step) = if let Expr::GetAttr(attribute) = expression {
        (&attribute.expr, Step::Name(attribute.name.to_owned()))
    } else if let Expr::GetItem(item) = expression
        && let Expr::Const(key) = &item.subscript_expr
    {
        let name = key.value.as_str().map(|name| Step::Name(name.to_owned()));
        (&item.expr, name.or_else(|| key.value.as_usize().map(Step::At))?)
    } else {
        return None;
    };
    let (first, mut rest) = route(inner)?;
    rest.push(step);
    Some((first, rest))
}

/// Where the text of an expression begins: minijinja says it of a filter's name.
fn start(expression: &Expr<'_>) -> usize {
    let own = offset(expression.span().start_offset);
    parts(expression).into_iter().map(start).min().map_or(own, |inner| inner.min(own))
}

fn offset(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Calls `seen` with every expression of `statement`.
fn each_expression<'e, 'a>(statement: &'e Stmt<'a>, seen: &mut impl FnMut(&'e Expr<'a>)) {
    let mut open = outermost(statement);
    while let Some(expression) = open.pop() {
        seen(expression);
        open.extend(parts(expression));
    }
}

/// The expressions of `statement` that are no parts of others.
fn outermost<'e, 'a>(statement: &'e Stmt<'a>) -> Vec<&'e Expr<'a>> {
    let (mut expressions, statements) = contents(statement);
    expressions.extend(statements.into_iter().flat_map(outermost));
    expressions
}

/// The expressions and the statements that `statement` is made of.
fn contents<'e, 'a>(statement: &'e Stmt<'a>) -> (Vec<&'e Expr<'a>>, Vec<&'e Stmt<'a>>) {
    let mut expressions = Vec::new();
    let mut statements: Vec<&Stmt<'a>> = Vec::new();
    match statement {
        Stmt::Template(it) => statements.extend(&it.children),
        Stmt::EmitExpr(it) => expressions.push(&it.expr),
        Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        Stmt::ForLoop(it) => {
            expressions.push(&it.iter);
            expressions.extend(&it.filter_expr);
            statements.extend(it.body.iter().chain(&it.else_body));
        }
        Stmt::IfCond(it) => {
            expressions.push(&it.expr);
            statements.extend(it.true_body.iter().chain(&it.false_body));
        }
        Stmt::WithBlock(it) => {
            expressions.extend(it.assignments.iter().map(|(_, value)| value));
            statements.extend(&it.body);
        }
        Stmt::Set(it) => expressions.push(&it.expr),
        Stmt::SetBlock(it) => {
            expressions.extend(&it.filter);
            statements.extend(&it.body);
        }
        Stmt::AutoEscape(it) => {
            expressions.push(&it.enabled);
            statements.extend(&it.body);
        }
        Stmt::FilterBlock(it) => {
            expressions.push(&it.filter);
            statements.extend(&it.body);
        }
        Stmt::Block(it) => statements.extend(&it.body),
        Stmt::Import(it) => expressions.push(&it.expr),
        Stmt::FromImport(it) => expressions.push(&it.expr),
        Stmt::Extends(it) => expressions.push(&it.name),
        Stmt::Include(it) => expressions.push(&it.name),
        Stmt::Macro(it) => {
            expressions.extend(&it.defaults);
            statements.extend(&it.body);
        }
        Stmt::CallBlock(it) => {
            expressions.push(&it.call.expr);
            expressions.extend(it.call.args.iter().map(argument));
            statements.extend(&it.macro_decl.body);
        }
        Stmt::Do(it) => {
            expressions.push(&it.call.expr);
            expressions.extend(it.call.args.iter().map(argument));
        }
    }
    (expressions, statements)
}

/// The expressions that `expression` is made of.
fn parts<'e, 'a>(expression: &'e Expr<'a>) -> Vec<&'e Expr<'a>> {
    match expression {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(it) => [Some(&it.expr), it.start.as_ref(), it.stop.as_ref(), it.step.as_ref()]
            .into_iter()
            .flatten()
            .collect(),
        Expr::UnaryOp(it) => vec![&it.expr],
        Expr::BinOp(it) => vec![&it.left, &it.right],
        Expr::Compare(it) => {
            [&it.expr].into_iter().chain(it.ops.iter().map(|op| &op.expr)).collect()
        }
        Expr::IfExpr(it) => {
            [&it.test_expr, &it.true_expr].into_iter().chain(&it.false_expr).collect()
        }
        Expr::Filter(it) => it.expr.iter().chain(it.args.iter().map(argument)).collect(),
        Expr::Test(it) => [&it.expr].into_iter().chain(it.args.iter().map(argument)).collect(),
        Expr::GetAttr(it) => vec![&it.expr],
        Expr::GetItem(it) => vec![&it.expr, &it.subscript_expr],
        Expr::Call(it) => [&it.expr].into_iter().chain(it.args.iter().map(argument)).collect(),
        Expr::List(it) => it.items.iter().collect(),
        Expr::Tuple(it) => it.items.iter().collect(),
        Expr::Map(it) => it.keys.iter().chain(&it.values).collect(),
    }
}

fn argument<'e, 'a>(argument: &'e CallArg<'a>) -> &'e Expr<'a> {
    match argument {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_by_the_whole_way_to_them() {
        let named = |text: &str| -> Vec<String> {
            variables("x", text).unwrap().iter().map(Route::to_string).collect()
        };
        assert_eq!(named("{{ a.b['c'][0].d | password_hash }}"), ["a.b.c[0].d"]);
        assert_eq!(
            named("{{ a | default(b.c) }}{% if d is defined %}{{ a }}{% endif %}"),
            ["a", "b.c", "d"]
        );
        assert_eq!(named("{{ a[b] ~ 'x' }}"), ["a", "b"]);
        assert_eq!(named("text"), [""; 0]);
        assert!(variables("x", "{{ a").is_err());
    }

    #[test]
    fn what_nobody_knows_is_found_wherever_it_stands() {
        let found = |text: &str| -> Vec<(usize, Option<usize>, String)> {
            faults("x", text).into_iter().map(|it| (it.line, it.column, it.why)).collect()
        };
        assert_eq!(found("{{ a | b64encode | to_json }}{{ b is match('x') }}"), []);
        let text = "x\n{% if false %}{{ a | lower | frobnicate }}{% endif %}\n{{ a is wrong }}";
        assert_eq!(
            found(text),
            [
                (2, Some(30), "the filter `frobnicate` is not known".to_owned()),
                (3, Some(9), "the test `wrong` is not known".to_owned()),
            ]
        );
        let [(line, ..)] = found("a\n{{ a | }}\n")[..] else { panic!("not one fault") };
        assert_eq!(line, 2);
    }

    #[test]
    fn a_use_is_known_by_its_expression_however_it_is_laid_out() {
        let uses = |text| -> Vec<String> {
            uses(text, "password_hash").into_iter().map(|it| it.expression).collect()
        };
        let text =
            "{{ a.b  |\n lower|password_hash('sha512') }}{{ x }}{% set y = c|password_hash %}";
        assert_eq!(uses(text), ["a.b | lower|password_hash('sha512')", "c|password_hash"]);
    }
}
