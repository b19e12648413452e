//! Schemas as JSON: the form in which tools push them and in which they are stored.

use std::collections::BTreeMap;

use serde_json::{Value as Tree, json};

use crate::definition::{
    Schema, SchemaError, SchemaErrorKind, SearchIndexDefinition, TableDefinition, VectorIndexDefinition,
};
use crate::index::IndexDefinition;
use crate::json::{JsonError, to_json_string};
use crate::name::FieldPath;
use crate::validator::{UnsupportedLiteral, optional_tree, to_tree};

impl Schema {
    /// Reads a schema. Its rules are checked by [`Schema::check`].
    pub fn from_json(text: &str) -> Result<Schema, SchemaError> {
        let tree: Tree =
            serde_json::from_str(text).map_err(|error| SchemaErrorKind::Json(JsonError::syntax(&error)).at_top())?;
        let validation = match tree.get("schemaValidation") {
            None => true,
            Some(validation) => validation.as_bool().ok_or_else(|| {
                SchemaErrorKind::Member { name: "schemaValidation", expected: "true or false" }.at_top()
            })?,
        };
        let mut tables = BTreeMap::new();
        for tree in array(&tree, "tables").map_err(SchemaErrorKind::at_top)? {
            let table = table(tree)?;
            if let Some(table) = tables.insert(table.name.clone(), table) {
                return Err(SchemaErrorKind::TableNotUnique.in_table(&table.name));
            }
        }
        Ok(Schema { tables, validation })
    }

    /// The JSON of the schema, tables in the order of their names.
    pub fn to_json(&self) -> Result<String, UnsupportedLiteral> {
        let tables = self.tables.values().map(table_tree).collect::<Result<Vec<_>, _>>()?;
        Ok(to_json_string(&json!({"tables": tables, "schemaValidation": self.validation})))
    }
}

fn member(name: &'static str, expected: &'static str) -> SchemaErrorKind {
    SchemaErrorKind::Member { name, expected }
}

fn text<'a>(tree: &'a Tree, name: &'static str) -> Result<&'a str, SchemaErrorKind> {
    tree.get(name).and_then(Tree::as_str).ok_or(member(name, "a string"))
}

fn array<'a>(tree: &'a Tree, name: &'static str) -> Result<&'a [Tree], SchemaErrorKind> {
    tree.get(name).and_then(Tree::as_array).map(Vec::as_slice).ok_or(member(name, "an array"))
}

/// A member that older tools leave out.
fn optional_array<'a>(tree: &'a Tree, name: &'static str) -> Result<&'a [Tree], SchemaErrorKind> {
    if tree.get(name).is_none() { Ok(&[]) } else { array(tree, name) }
}

fn field(path: &str) -> Result<FieldPath, SchemaErrorKind> {
    FieldPath::parse(path).map_err(|error| SchemaErrorKind::InvalidIndexField { field: path.to_owned(), error })
}

fn fields(tree: &Tree, name: &'static str) -> Result<Vec<FieldPath>, SchemaErrorKind> {
    let paths = array(tree, name)?.iter();
    paths.map(|path| field(path.as_str().ok_or(member(name, "strings"))?)).collect()
}

fn table(tree: &Tree) -> Result<TableDefinition, SchemaError> {
    let name = text(tree, "tableName").map_err(SchemaErrorKind::at_top)?;
    let document = optional_tree(tree.get("documentType"))
        .map_err(|error| SchemaErrorKind::Validator(Box::new(error)).in_table(name))?;
    let table = TableDefinition::new(name, document);
    Ok(TableDefinition {
        indexes: indexes(tree, name, "indexes", index)?,
        staged_indexes: indexes(tree, name, "stagedDbIndexes", index)?,
        search_indexes: indexes(tree, name, "searchIndexes", search_index)?,
        staged_search_indexes: indexes(tree, name, "stagedSearchIndexes", search_index)?,
        vector_indexes: indexes(tree, name, "vectorIndexes", vector_index)?,
        staged_vector_indexes: indexes(tree, name, "stagedVectorIndexes", vector_index)?,
        ..table
    })
}

fn indexes<I>(
    tree: &Tree,
    table: &str,
    name: &'static str,
    read: fn(&Tree, &str) -> Result<I, SchemaErrorKind>,
) -> Result<Vec<I>, SchemaError> {
    let trees = optional_array(tree, name).map_err(|kind| kind.in_table(table))?;
    let read_one = |tree| {
        let index = text(tree, "indexDescriptor").map_err(|kind| kind.in_table(table))?;
        read(tree, index).map_err(|kind| kind.in_index(table, index))
    };
    trees.iter().map(read_one).collect()
}

fn index(tree: &Tree, name: &str) -> Result<IndexDefinition, SchemaErrorKind> {
    Ok(IndexDefinition { name: name.to_owned(), fields: fields(tree, "fields")? })
}

fn search_index(tree: &Tree, name: &str) -> Result<SearchIndexDefinition, SchemaErrorKind> {
    Ok(SearchIndexDefinition {
        name: name.to_owned(),
        search_field: field(text(tree, "searchField")?)?,
        filter_fields: fields(tree, "filterFields")?,
    })
}

fn vector_index(tree: &Tree, name: &str) -> Result<VectorIndexDefinition, SchemaErrorKind> {
    // JavaScript writes 4, other writers may write 4.0.
    let dimensions = tree.get("dimensions").and_then(Tree::as_f64);
    let is_whole = |n: &f64| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n);
    let dimensions = dimensions.filter(is_whole).ok_or(member("dimensions", "a whole number"))?;
    Ok(VectorIndexDefinition {
        name: name.to_owned(),
        vector_field: field(text(tree, "vectorField")?)?,
        dimensions: dimensions as u32,
        filter_fields: fields(tree, "filterFields")?,
    })
}

fn table_tree(table: &TableDefinition) -> Result<Tree, UnsupportedLiteral> {
    let paths = |fields: &[FieldPath]| fields.iter().map(FieldPath::to_string).collect::<Vec<_>>();
    let index = |index: &IndexDefinition| json!({"indexDescriptor": index.name, "fields": paths(&index.fields)});
    let search = |index: &SearchIndexDefinition| {
        json!({
            "indexDescriptor": index.name,
            "searchField": index.search_field.to_string(),
            "filterFields": paths(&index.filter_fields),
        })
    };
    let vector = |index: &VectorIndexDefinition| {
        json!({
            "indexDescriptor": index.name,
            "vectorField": index.vector_field.to_string(),
            "dimensions": index.dimensions,
            "filterFields": paths(&index.filter_fields),
        })
    };
    Ok(json!({
        "tableName": table.name,
        "indexes": table.indexes.iter().map(index).collect::<Vec<_>>(),
        "stagedDbIndexes": table.staged_indexes.iter().map(index).collect::<Vec<_>>(),
        "searchIndexes": table.search_indexes.iter().map(search).collect::<Vec<_>>(),
        "stagedSearchIndexes": table.staged_search_indexes.iter().map(search).collect::<Vec<_>>(),
        "vectorIndexes": table.vector_indexes.iter().map(vector).collect::<Vec<_>>(),
        "stagedVectorIndexes": table.staged_vector_indexes.iter().map(vector).collect::<Vec<_>>(),
        "documentType": to_tree(&table.document)?,
    }))
}
