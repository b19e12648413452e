//! Why a filter cannot be read, or fails on a document.

use std::fmt;

use crate::json::JsonError;
use crate::name::NameError;
use crate::value::{Value, print};

/// A value that an operation was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The value, as it is printed in messages.
    pub value: String,
    /// Its type, or `undefined`.
    pub kind: &'static str,
}

impl Operand {
    pub(super) fn of(value: Option<&Value>) -> Operand {
        match value {
            Some(value) => Operand { value: print(value), kind: value.kind().name() },
            None => Operand { value: "undefined".to_owned(), kind: "undefined" },
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (of type {})", self.value, self.kind)
    }
}

/// Why a filter fails on a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// An operation needs two Int64 or two Float64.
    OperandTypes {
        /// The operation.
        operation: &'static str,
        /// What it was given.
        operands: Vec<Operand>,
    },
    /// The result is no Int64.
    Int64Overflow {
        /// The operation.
        operation: &'static str,
        /// What it was given.
        operands: Vec<Operand>,
    },
    /// An Int64 is divided by zero.
    DivisionByZero {
        /// The operation.
        operation: &'static str,
        /// What it was given.
        operands: Vec<Operand>,
    },
    /// A condition is neither true nor false.
    NotBoolean {
        /// What it is.
        found: Operand,
    },
}

impl EvalError {
    /// The case, as the vectors name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            EvalError::OperandTypes { .. } => "operand_types",
            EvalError::Int64Overflow { .. } => "int64_overflow",
            EvalError::DivisionByZero { .. } => "division_by_zero",
            EvalError::NotBoolean { .. } => "not_boolean",
        }
    }

    /// The code by which clients and tools know the error, where it has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        (!matches!(self, EvalError::NotBoolean { .. })).then_some("EvalError")
    }

    /// The operation that failed, and what it was given.
    #[must_use]
    pub fn operation(&self) -> Option<(&'static str, &[Operand])> {
        match self {
            EvalError::OperandTypes { operation, operands }
            | EvalError::Int64Overflow { operation, operands }
            | EvalError::DivisionByZero { operation, operands } => Some((operation, operands)),
            EvalError::NotBoolean { .. } => None,
        }
    }
}

fn list(operands: &[Operand]) -> String {
    operands.iter().map(Operand::to_string).collect::<Vec<_>>().join(" and ")
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = self.code() {
            write!(f, "{code}: ")?;
        }
        match self {
            EvalError::OperandTypes { operation, operands } => {
                write!(f, "`{operation}` cannot be applied to {}; it needs Int64 only or Float64 only", list(operands),)
            }
            EvalError::Int64Overflow { operation, operands } => {
                write!(f, "the result of `{operation}` of {} does not fit an Int64; use Float64", list(operands))
            }
            EvalError::DivisionByZero { operation, operands } => {
                write!(f, "`{operation}` of {} divides by zero; compare the divisor with 0 first", list(operands))
            }
            EvalError::NotBoolean { found } => {
                write!(f, "a condition is {found}; expected a Boolean, such as the result of a comparison")
            }
        }
    }
}

impl std::error::Error for EvalError {}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionError {
    /// The text is not JSON, or a literal is no value.
    Json(JsonError),
    /// A field's path is wrong.
    Field(NameError),
    /// Not an object with one operator as its key, or the wrong number of operands.
    Form {
        /// The operator, or the start of what is there instead.
        found: String,
        /// What is expected.
        expected: &'static str,
    },
}

impl ExpressionError {
    /// The rule that is broken, as the vectors name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            ExpressionError::Json(error) => error.kind.name(),
            ExpressionError::Field(error) => error.kind(),
            ExpressionError::Form { .. } => "form",
        }
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpressionError::Json(error) => error.fmt(f),
            ExpressionError::Field(error) => write!(f, "in `$field`: {error}"),
            ExpressionError::Form { found, expected } => {
                write!(f, "a filter expression has {found}; expected {expected}")
            }
        }
    }
}

impl std::error::Error for ExpressionError {}
