//! Filter expressions as JSON, the form in which the JavaScript library writes them.

use serde::de::DeserializeSeed as _;
use serde_json::Value as Tree;

use crate::filter::{Arithmetic, Comparison, Expression, ExpressionError};
use crate::json::{JsonError, ValueSeed};
use crate::name::FieldPath;
use crate::value::Value;

const OPERATORS: &str = "an object with one of the keys $eq, $neq, $lt, $lte, $gt, $gte, $add, $sub, $mul, $div, $mod, \
                         $neg, $not, $and, $or, $field and $literal";

impl Expression {
    /// Reads an expression.
    pub fn from_json(text: &str) -> Result<Expression, ExpressionError> {
        let tree = serde_json::from_str(text).map_err(|e| ExpressionError::Json(JsonError::syntax(&e)))?;
        from_tree(&tree)
    }
}

fn from_tree(tree: &Tree) -> Result<Expression, ExpressionError> {
    let mut entries = tree.as_object().into_iter().flatten();
    let (Some((operator, operand)), None) = (entries.next(), entries.next()) else {
        return Err(form(&tree.to_string(), OPERATORS));
    };
    Ok(match operator.as_str() {
        "$field" => {
            let path = operand.as_str().ok_or_else(|| form("$field", "the path of a field as a string"))?;
            Expression::Field(FieldPath::parse(path).map_err(ExpressionError::Field)?)
        }
        "$literal" => Expression::Literal(literal(operand)?),
        "$eq" => compare(Comparison::Eq, operator, operand)?,
        "$neq" => compare(Comparison::Neq, operator, operand)?,
        "$lt" => compare(Comparison::Lt, operator, operand)?,
        "$lte" => compare(Comparison::Lte, operator, operand)?,
        "$gt" => compare(Comparison::Gt, operator, operand)?,
        "$gte" => compare(Comparison::Gte, operator, operand)?,
        "$add" => calculate(Arithmetic::Add, operator, operand)?,
        "$sub" => calculate(Arithmetic::Sub, operator, operand)?,
        "$mul" => calculate(Arithmetic::Mul, operator, operand)?,
        "$div" => calculate(Arithmetic::Div, operator, operand)?,
        "$mod" => calculate(Arithmetic::Mod, operator, operand)?,
        "$neg" => Expression::Neg(Box::new(from_tree(operand)?)),
        "$not" => Expression::Not(Box::new(from_tree(operand)?)),
        "$and" => Expression::And(list(operator, operand)?),
        "$or" => Expression::Or(list(operator, operand)?),
        _ => return Err(form(operator, OPERATORS)),
    })
}

fn form(found: &str, expected: &'static str) -> ExpressionError {
    ExpressionError::Form { found: found.chars().take(64).collect(), expected }
}

/// A value, or `{"$undefined":null}`, which means nothing anywhere else.
fn literal(tree: &Tree) -> Result<Option<Value>, ExpressionError> {
    if let Some(entries) = tree.as_object()
        && entries.len() == 1
        && entries.get("$undefined") == Some(&Tree::Null)
    {
        return Ok(None);
    }
    let value = ValueSeed::top().deserialize(tree).map_err(|e| ExpressionError::Json(JsonError::syntax(&e)))?;
    value.map(Some).map_err(ExpressionError::Json)
}

fn compare(comparison: Comparison, operator: &str, operands: &Tree) -> Result<Expression, ExpressionError> {
    Ok(Expression::Compare(comparison, pair(operator, operands)?))
}

fn calculate(operation: Arithmetic, operator: &str, operands: &Tree) -> Result<Expression, ExpressionError> {
    Ok(Expression::Calculate(operation, pair(operator, operands)?))
}

fn pair(operator: &str, operands: &Tree) -> Result<Box<[Expression; 2]>, ExpressionError> {
    let operands = list(operator, operands)?;
    let pair: [Expression; 2] = operands.try_into().map_err(|_| form(operator, "two operands in an array"))?;
    Ok(Box::new(pair))
}

fn list(operator: &str, operands: &Tree) -> Result<Vec<Expression>, ExpressionError> {
    let operands = operands.as_array().ok_or_else(|| form(operator, "operands in an array"))?;
    operands.iter().map(from_tree).collect()
}
