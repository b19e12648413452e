//! Tables by name, documents as values: for tools and tests that know no Rust types.

use std::collections::BTreeMap;
use std::sync::Arc;

use syncline_schema::{DocumentId, Object, RangePart, Value, normalize_id, object_to_json};

use super::check_table_name;
use super::query::{Plan, Query};
use crate::error::{Error, Result};
use crate::run::Run;
use crate::tx::Fields;

/// Reads a table by name. One that does not exist is empty.
#[derive(Clone)]
pub struct TableReader {
    run: Arc<Run>,
    name: String,
}

impl TableReader {
    pub(super) fn new(run: Arc<Run>, name: &str) -> Self {
        TableReader { run, name: name.to_owned() }
    }

    /// The document with this id, `_id` and `_creationTime` included, or `None`.
    ///
    /// # Errors
    /// When the text is no id, or the id of another table.
    pub async fn get(&self, id: &str) -> Result<Option<Object>> {
        let id = self.parse("get", id)?;
        self.run.settled().await;
        check_table_name(self.run.tx().as_ref(), "get", &self.name, id)?;
        let document = self.run.tx().get(id).await?;
        document.map(super::Row::from_document).transpose()
    }

    /// Begins to read the table, in order of creation.
    pub fn query(&self) -> Query<Object> {
        self.index("by_creation_time", Vec::new())
    }

    /// Begins to read a range of an index: equalities on its first fields, then bounds on the next one.
    ///
    /// # Errors
    /// Reading fails when there is no such index, or the range does not follow its fields.
    pub fn index(&self, index: &str, range: Vec<RangePart>) -> Query<Object> {
        let plan = Plan::new(self.name.clone().into(), index.to_owned().into(), range.into());
        Query::new(self.run.clone(), plan)
    }

    /// The id that a text is, if it is one of a document of the table. Reads no document.
    pub fn normalize_id(&self, text: &str) -> Option<DocumentId> {
        normalize_id(self.run.tx().table_number(&self.name)?, text)
    }

    fn parse(&self, call: &str, id: &str) -> Result<DocumentId> {
        DocumentId::parse(id).map_err(|error| {
            Error::new(format!("`{call}` on the table `{}`: the argument `id` is no id: {error}", self.name))
        })
    }
}

/// Reads and writes a table by name.
#[derive(Clone)]
pub struct TableWriter {
    reader: TableReader,
}

impl std::ops::Deref for TableWriter {
    type Target = TableReader;

    fn deref(&self) -> &TableReader {
        &self.reader
    }
}

impl TableWriter {
    pub(super) fn new(run: Arc<Run>, name: &str) -> Self {
        TableWriter { reader: TableReader::new(run, name) }
    }

    /// Brings the table into being, empty; nothing happens when it is there.
    pub async fn create(&self) -> Result<()> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        run.tx().create_table(&self.reader.name).await?;
        Ok(())
    }

    /// Adds a document and returns its id; the table comes into being when it is new.
    pub async fn insert(&self, document: &Object) -> Result<DocumentId> {
        let run = &self.reader.run;
        let _turn = run.turn().await;
        Ok(run.tx().insert(&self.reader.name, Fields::Untyped(&object_to_json(document))).await?)
    }

    /// Changes some fields of a document; `None` removes one.
    pub async fn patch(&self, id: &str, fields: &BTreeMap<String, Option<Value>>) -> Result<()> {
        let (run, id) = (&self.reader.run, self.writable("patch", id)?);
        let _turn = run.turn().await;
        Ok(run.tx().patch(id, Fields::Untyped(&patch_json(fields))).await?)
    }

    /// Replaces all fields of a document.
    pub async fn replace(&self, id: &str, document: &Object) -> Result<()> {
        let (run, id) = (&self.reader.run, self.writable("replace", id)?);
        let _turn = run.turn().await;
        Ok(run.tx().replace(id, Fields::Untyped(&object_to_json(document))).await?)
    }

    /// Deletes a document.
    pub async fn delete(&self, id: &str) -> Result<()> {
        let (run, id) = (&self.reader.run, self.writable("delete", id)?);
        let _turn = run.turn().await;
        Ok(run.tx().delete(id).await?)
    }

    fn writable(&self, call: &str, id: &str) -> Result<DocumentId> {
        let id = self.reader.parse(call, id)?;
        check_table_name(self.reader.run.tx().as_ref(), call, &self.reader.name, id)?;
        Ok(id)
    }
}

/// Wire JSON of a patch.
fn patch_json(fields: &BTreeMap<String, Option<Value>>) -> String {
    let mut json = String::from("{");
    for (name, value) in fields {
        if json.len() > 1 {
            json.push(',');
        }
        Value::String(name.clone()).write_json(&mut json);
        json.push(':');
        match value {
            Some(value) => value.write_json(&mut json),
            None => json.push_str(r#"{"$undefined":null}"#),
        }
    }
    json.push('}');
    json
}
