//! Filter expressions: conditions on documents, evaluated after they are read.
//!
//! Source: `tests/spec/data-and-functions.md` 4.4. Comparisons never fail, since the order of values is total; arithmetic
//! does. A missing field is undefined, here `None`.

mod error;
mod json;

pub use error::{EvalError, ExpressionError, Operand};

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::name::FieldPath;
use crate::value::{Object, Value, object_at};

/// An expression over the fields of a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// The value of a field.
    Field(FieldPath),
    /// A value; `None` is undefined.
    Literal(Option<Value>),
    /// Compares two values by the total order.
    Compare(Comparison, Box<[Expression; 2]>),
    /// Calculates with two numbers of the same type.
    Calculate(Arithmetic, Box<[Expression; 2]>),
    /// The negative of a number.
    Neg(Box<Expression>),
    /// The opposite of a boolean.
    Not(Box<Expression>),
    /// Whether all are true; evaluation ends at the first that is not.
    And(Vec<Expression>),
    /// Whether any is true; evaluation ends at the first that is.
    Or(Vec<Expression>),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Eq => ordering.is_eq(),
            Comparison::Neq => ordering.is_ne(),
            Comparison::Lt => ordering.is_lt(),
            Comparison::Lte => ordering.is_le(),
            Comparison::Gt => ordering.is_gt(),
            Comparison::Gte => ordering.is_ge(),
        }
    }
}

/// What is calculated from two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// The sum.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mul,
    /// The quotient; of integers, without the fraction.
    Div,
    /// The remainder, with the sign of the dividend.
    Mod,
}

impl Arithmetic {
    /// The name of the operation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Sub => "sub",
            Arithmetic::Mul => "mul",
            Arithmetic::Div => "div",
            Arithmetic::Mod => "mod",
        }
    }

    fn of_floats(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div => a / b,
            Arithmetic::Mod => a % b,
        }
    }

    /// `None` when the result is no Int64. The divisor is not zero.
    fn of_integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Sub => a.checked_sub(b),
            Arithmetic::Mul => a.checked_mul(b),
            Arithmetic::Div => a.checked_div(b),
            Arithmetic::Mod => a.checked_rem(b),
        }
    }
}

/// A value that an expression has, borrowed from the document or the expression where possible.
type Operands<'a> = Option<Cow<'a, Value>>;

impl Expression {
    /// The value of the expression for a document; `None` is undefined.
    pub fn eval(&self, document: &Object) -> Result<Option<Value>, EvalError> {
        Ok(self.value(document)?.map(Cow::into_owned))
    }

    /// Whether a filter keeps a document. Anything but true and false is an error.
    pub fn keeps(&self, document: &Object) -> Result<bool, EvalError> {
        match self.value(document)?.as_deref() {
            Some(Value::Boolean(keeps)) => Ok(*keeps),
            other => Err(EvalError::NotBoolean { found: Operand::of(other) }),
        }
    }

    fn value<'a>(&'a self, document: &'a Object) -> Result<Operands<'a>, EvalError> {
        let boolean = |value| Ok(Some(Cow::Owned(Value::Boolean(value))));
        match self {
            Expression::Field(path) => Ok(object_at(document, path).map(Cow::Borrowed)),
            Expression::Literal(value) => Ok(value.as_ref().map(Cow::Borrowed)),
            Expression::Compare(comparison, operands) => {
                let [a, b] = &**operands;
                // `None` is less than any `Some`, as undefined is less than any value.
                boolean(comparison.holds(a.value(document)?.cmp(&b.value(document)?)))
            }
            Expression::Calculate(operation, operands) => {
                let [a, b] = &**operands;
                calculate(*operation, a.value(document)?.as_deref(), b.value(document)?.as_deref())
                    .map(|value| Some(Cow::Owned(value)))
            }
            Expression::Neg(operand) => {
                negate(operand.value(document)?.as_deref()).map(|value| Some(Cow::Owned(value)))
            }
            Expression::Not(operand) => boolean(!operand.keeps(document)?),
            Expression::And(operands) => boolean(all(operands, document)?),
            Expression::Or(operands) => boolean(any(operands, document)?),
        }
    }
}

fn all(operands: &[Expression], document: &Object) -> Result<bool, EvalError> {
    for operand in operands {
        if !operand.keeps(document)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(operands: &[Expression], document: &Object) -> Result<bool, EvalError> {
    for operand in operands {
        if operand.keeps(document)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn calculate(operation: Arithmetic, a: Option<&Value>, b: Option<&Value>) -> Result<Value, EvalError> {
    let operands = || vec![Operand::of(a), Operand::of(b)];
    let operation_name = operation.name();
    match (a, b) {
        (Some(Value::Float64(a)), Some(Value::Float64(b))) => Ok(Value::Float64(operation.of_floats(*a, *b))),
        (Some(Value::Int64(_)), Some(Value::Int64(0))) if matches!(operation, Arithmetic::Div | Arithmetic::Mod) => {
            Err(EvalError::DivisionByZero { operation: operation_name, operands: operands() })
        }
        (Some(Value::Int64(x)), Some(Value::Int64(y))) => operation
            .of_integers(*x, *y)
            .map(Value::Int64)
            .ok_or_else(|| EvalError::Int64Overflow { operation: operation_name, operands: operands() }),
        _ => Err(EvalError::OperandTypes { operation: operation_name, operands: operands() }),
    }
}

fn negate(a: Option<&Value>) -> Result<Value, EvalError> {
    let operands = || vec![Operand::of(a)];
    match a {
        Some(Value::Float64(x)) => Ok(Value::Float64(-x)),
        Some(Value::Int64(x)) => x
            .checked_neg()
            .map(Value::Int64)
            .ok_or_else(|| EvalError::Int64Overflow { operation: "neg", operands: operands() }),
        _ => Err(EvalError::OperandTypes { operation: "neg", operands: operands() }),
    }
}
