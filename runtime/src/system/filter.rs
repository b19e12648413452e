//! The filters of a dashboard's table page: which index, which range of it, and which documents are kept.
//! Source: http-and-cli 12.3, `paginatedTableDocuments`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::Value as Json;
use syncline_functions::Value;
use syncline_functions::db::Order;
use syncline_schema::{BY_CREATION_TIME, BY_ID, FieldPath, Object, RangeOp, RangePart, TableDefinition, object_at};

/// What to read of a table.
pub(super) struct Filters {
    pub(super) index: String,
    pub(super) range: Vec<RangePart>,
    pub(super) order: Option<Order>,
    pub(super) clauses: Vec<Clause>,
}

/// Why filters cannot be used: the place of each among the clauses, and a sentence.
type Faults = Vec<(usize, String)>;

/// A condition on a field.
pub(super) struct Clause {
    field: FieldPath,
    condition: Condition,
}

enum Condition {
    Compares(Comparison, Option<Value>),
    AnyOf(Vec<Value>),
    NoneOf(Vec<Value>),
    Type(String),
    NotType(String),
}

#[derive(Clone, Copy)]
enum Comparison {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Filters {
    /// Reads the base64 of `{clauses, order?, index?}`.
    pub(super) fn parse(text: Option<&str>, table: Option<&TableDefinition>) -> Result<Filters, Faults> {
        let mut filters =
            Filters { index: BY_CREATION_TIME.to_owned(), range: Vec::new(), order: None, clauses: Vec::new() };
        let Some(text) = text else { return Ok(filters) };
        let whole = |what: String| vec![(0, what)];
        let decoded = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
        let bytes = decoded.map_err(|error| whole(format!("the filters are not base64: {error}")))?;
        let tree: Json =
            serde_json::from_slice(&bytes).map_err(|error| whole(format!("the filters are not JSON: {error}")))?;
        filters.order = match tree.get("order").and_then(Json::as_str) {
            Some("asc") => Some(Order::Asc),
            Some("desc") => Some(Order::Desc),
            _ => None,
        };
        if let Some(index) = tree.get("index").filter(|index| !index.is_null()) {
            filters.read_index(index, table).map_err(whole)?;
        }
        let mut faults = Faults::new();
        for (place, clause) in tree.get("clauses").and_then(Json::as_array).into_iter().flatten().enumerate() {
            if clause.get("enabled") == Some(&Json::Bool(false)) {
                continue;
            }
            match Clause::parse(clause) {
                Ok(clause) => filters.clauses.push(clause),
                Err(fault) => faults.push((place, fault)),
            }
        }
        if faults.is_empty() { Ok(filters) } else { Err(faults) }
    }

    fn read_index(&mut self, index: &Json, table: Option<&TableDefinition>) -> Result<(), String> {
        let name = index.get("name").and_then(Json::as_str).ok_or("the index has no name")?;
        let fields: Vec<FieldPath> = match name {
            BY_CREATION_TIME => vec![path("_creationTime")?],
            BY_ID => vec![path("_id")?],
            _ => {
                let declared = table.and_then(|table| table.index(name));
                declared.ok_or_else(|| format!("the table has no index {name:?}"))?.fields.clone()
            }
        };
        let Some(clauses) = index.get("clauses").and_then(Json::as_array) else {
            return Err(format!("the index {name:?} is for searching, which is not done here"));
        };
        for (clause, field) in clauses.iter().zip(&fields) {
            if clause.get("enabled") == Some(&Json::Bool(false)) {
                break;
            }
            self.read_range(clause, field)?;
        }
        name.clone_into(&mut self.index);
        Ok(())
    }

    fn read_range(&mut self, clause: &Json, field: &FieldPath) -> Result<(), String> {
        let mut part = |op, member: &str| -> Result<(), String> {
            let value = clause.get(member).map(read_value).transpose()?;
            self.range.push(RangePart { op, field: field.clone(), value });
            Ok(())
        };
        match clause.get("type").and_then(Json::as_str) {
            Some("indexEq") => part(RangeOp::Eq, "value"),
            Some("indexRange") => {
                for (op, member) in [("lowerOp", "lowerValue"), ("upperOp", "upperValue")] {
                    let op = match clause.get(op).and_then(Json::as_str) {
                        None => continue,
                        Some("gt") => RangeOp::Gt,
                        Some("gte") => RangeOp::Gte,
                        Some("lt") => RangeOp::Lt,
                        Some("lte") => RangeOp::Lte,
                        Some(other) => return Err(format!("a bound is {other:?}; expected gt, gte, lt or lte")),
                    };
                    part(op, member)?;
                }
                Ok(())
            }
            found => Err(format!("a part of an index range is {found:?}; expected indexEq or indexRange")),
        }
    }
}

impl Clause {
    fn parse(clause: &Json) -> Result<Clause, String> {
        let field = path(clause.get("field").and_then(Json::as_str).ok_or("a filter has no field")?)?;
        let op = clause.get("op").and_then(Json::as_str).ok_or("a filter has no operator")?;
        let given = clause.get("value").filter(|value| value.get("$undefined").is_none());
        let value = || given.map(read_value).transpose();
        let list = || match value()? {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(format!("{op} takes a list of values")),
        };
        let name = || given.and_then(Json::as_str).map(str::to_owned).ok_or(format!("{op} takes the name of a type"));
        let condition = match op {
            "eq" => Condition::Compares(Comparison::Eq, value()?),
            "neq" => Condition::Compares(Comparison::Neq, value()?),
            "gt" => Condition::Compares(Comparison::Gt, value()?),
            "gte" => Condition::Compares(Comparison::Gte, value()?),
            "lt" => Condition::Compares(Comparison::Lt, value()?),
            "lte" => Condition::Compares(Comparison::Lte, value()?),
            "anyOf" => Condition::AnyOf(list()?),
            "noneOf" => Condition::NoneOf(list()?),
            "type" => Condition::Type(name()?),
            "notype" => Condition::NotType(name()?),
            other => return Err(format!("there is no operator {other:?}")),
        };
        Ok(Clause { field, condition })
    }

    /// Whether a document fits. A missing field sorts before every value.
    pub(super) fn keeps(&self, row: &Object) -> bool {
        let found = object_at(row, &self.field);
        match &self.condition {
            Condition::Compares(comparison, value) => {
                let order = found.cmp(&value.as_ref());
                match comparison {
                    Comparison::Eq => order.is_eq(),
                    Comparison::Neq => order.is_ne(),
                    Comparison::Gt => order.is_gt(),
                    Comparison::Gte => order.is_ge(),
                    Comparison::Lt => order.is_lt(),
                    Comparison::Lte => order.is_le(),
                }
            }
            Condition::AnyOf(values) => found.is_some_and(|found| values.contains(found)),
            Condition::NoneOf(values) => !found.is_some_and(|found| values.contains(found)),
            Condition::Type(name) => type_name(found) == name,
            Condition::NotType(name) => type_name(found) != name,
        }
    }
}

/// The type of a field as the dashboard's list of types spells it.
fn type_name(value: Option<&Value>) -> &'static str {
    match value {
        None => "unset",
        Some(Value::Null) => "null",
        Some(Value::Int64(_)) => "bigint",
        Some(Value::Float64(_)) => "number",
        Some(Value::Boolean(_)) => "boolean",
        Some(Value::String(_)) => "string",
        Some(Value::Bytes(_)) => "bytes",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

fn path(text: &str) -> Result<FieldPath, String> {
    FieldPath::parse(text).map_err(|error| format!("{text:?} is no field: {error}"))
}

fn read_value(json: &Json) -> Result<Value, String> {
    Value::from_json(&json.to_string()).map_err(|error| format!("{json} is no value: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use syncline_schema::Validator;

    fn parse(tree: &Json) -> Result<Filters, Faults> {
        let table = TableDefinition::new("t", Validator::Any).with_index("by_a_b", &["a", "b"]);
        Filters::parse(Some(&STANDARD.encode(tree.to_string())), Some(&table))
    }

    fn parsed(tree: &Json) -> Filters {
        parse(tree).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    /// Which of the numbers -1, 1, 2, 3 and the missing field a clause keeps.
    fn kept(op: &str, value: Json) -> Vec<f64> {
        let filters = parsed(&json!({"clauses": [{"op": op, "field": "a", "value": value, "enabled": true}]}));
        let row = |n: f64| match n {
            0.0 => Object::new(),
            n => Object::from([("a".to_owned(), Value::Float64(n))]),
        };
        let fits = |n: &f64| filters.clauses.iter().all(|clause| clause.keeps(&row(*n)));
        [-1.0, 0.0, 1.0, 2.0, 3.0].into_iter().filter(fits).collect()
    }

    #[test]
    fn clauses_keep_what_they_say() {
        assert_eq!(kept("eq", json!(2)), [2.0]);
        assert_eq!(kept("neq", json!(2)), [-1.0, 0.0, 1.0, 3.0]);
        assert_eq!(kept("gt", json!(1)), [2.0, 3.0]);
        assert_eq!(kept("gte", json!(1)), [1.0, 2.0, 3.0]);
        assert_eq!(kept("lt", json!(1)), [-1.0, 0.0], "what is missing sorts first");
        assert_eq!(kept("lte", json!(1)), [-1.0, 0.0, 1.0]);
        assert_eq!(kept("anyOf", json!([1, 3])), [1.0, 3.0]);
        assert_eq!(kept("noneOf", json!([1, 3])), [-1.0, 0.0, 2.0]);
        assert_eq!(kept("type", json!("number")), [-1.0, 1.0, 2.0, 3.0]);
        assert_eq!(kept("notype", json!("number")), [0.0]);
    }

    #[test]
    fn an_index_gives_a_range_in_the_order_of_its_fields() {
        let filters = parsed(&json!({"clauses": [], "order": "asc", "index": {"name": "by_a_b", "clauses": [
            {"type": "indexEq", "enabled": true, "value": "x"},
            {"type": "indexRange", "enabled": true, "lowerOp": "gte", "lowerValue": 1, "upperOp": "lt", "upperValue": 5},
        ]}}));
        let ops: Vec<String> =
            filters.range.iter().map(|part| format!("{} {}", part.op.symbol(), part.field)).collect();
        assert_eq!((filters.index.as_str(), filters.order), ("by_a_b", Some(Order::Asc)));
        assert_eq!(ops.len(), 3);
        assert!(ops[0].ends_with(" a") && ops[1].ends_with(" b") && ops[2].ends_with(" b"), "{ops:?}");
    }

    #[test]
    fn faults_are_told_by_their_place() {
        let tree = json!({"clauses": [
            {"op": "eq", "field": "a", "value": 1},
            {"op": "like", "field": "a", "value": 1},
            {"op": "anyOf", "field": "a", "value": 1},
            {"op": "like", "field": "a", "value": 1, "enabled": false},
        ]});
        let places: Vec<usize> = parse(&tree).err().unwrap_or_default().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [1, 2]);
    }
}
