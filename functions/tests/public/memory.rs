//! A transaction over a map: the least that functions need of a store, and a diary of what they asked of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use syncline::limits;
use syncline::tx::{Batch, DbError, Document, Fields, NestedEnd, Order, Reply, Scan, Tx, Usage, Variables};
use syncline_schema::{
    DocumentId, IndexDefinition, InternalId, Object, Schema, StoredText, TableNumber, TableNumbers, Value,
    by_creation_time_key, by_id_key, compile_range, document_keys, object_from_json, object_to_json,
};

/// The number of the first table.
const FIRST_TABLE: u32 = 10_001;

/// The store and the only transaction on it.
pub struct MemoryTx {
    state: Mutex<State>,
}

struct State {
    schema: Schema,
    numbers: BTreeMap<String, TableNumber>,
    documents: BTreeMap<DocumentId, Document>,
    undo: Vec<(BTreeMap<String, TableNumber>, BTreeMap<DocumentId, Document>)>,
    environment: BTreeMap<String, Arc<str>>,
    inserted: u64,
    usage: Usage,
    /// For each scan, how many documents it asked for and how many it got.
    scans: Vec<(usize, usize)>,
    writes: usize,
    documents_read_max: u64,
}

impl MemoryTx {
    /// Tables without documents.
    pub fn new(schema: Schema) -> Arc<Self> {
        let numbers = schema.tables.keys().cloned().zip((FIRST_TABLE..).map(TableNumber)).collect();
        Arc::new(MemoryTx {
            state: Mutex::new(State {
                schema,
                numbers,
                documents: BTreeMap::new(),
                undo: Vec::new(),
                environment: BTreeMap::new(),
                inserted: 0,
                usage: Usage::default(),
                scans: Vec::new(),
                writes: 0,
                documents_read_max: limits::DOCUMENTS_READ_MAX,
            }),
        })
    }

    /// Sets a variable.
    pub fn set_environment(&self, name: &str, value: &str) {
        self.lock().environment.insert(name.into(), value.into());
    }

    /// What was asked of and given by each scan since the last time.
    pub fn take_scans(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.lock().scans)
    }

    /// How many writes changed something.
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    /// Forgets what was used, as a new transaction would.
    pub fn reset_usage(&self) {
        self.lock().usage = Usage::default();
    }

    /// Begins as if so many documents had been read.
    pub fn use_documents(&self, n: u64) {
        self.lock().usage.documents_read += n;
    }

    /// Lets a transaction read fewer documents.
    pub fn limit_documents_read(&self, n: u64) {
        self.lock().documents_read_max = n;
    }

    /// How many nested transactions are open.
    pub fn open_brackets(&self) -> usize {
        self.lock().undo.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn index(&self, table: &str, index: &str) -> Result<Vec<IndexDefinition>, DbError> {
        if matches!(index, "by_id" | "by_creation_time") {
            return Ok(Vec::new());
        }
        let found = self.schema.tables.get(table).and_then(|table| table.index(index));
        found.map(|index| vec![index.clone()]).ok_or_else(|| {
            DbError::refused("IndexNotFoundError", format!("IndexNotFoundError: `{table}` has no index `{index}`"))
        })
    }

    fn rows(&self, scan: &Scan<'_>) -> Result<Vec<(Vec<u8>, Document)>, DbError> {
        let definition = self.index(scan.table, scan.index)?;
        let fields = definition.first().map_or(&[][..], |index| &index.fields);
        let range = compile_range(scan.table, scan.index, fields, scan.range)
            .map_err(|error| DbError::refused(error.code(), format!("{}: {error}", error.code())))?;
        let Some(number) = self.numbers.get(scan.table) else { return Ok(Vec::new()) };
        let mut rows = Vec::new();
        for document in self.documents.values().filter(|document| document.id.table == *number) {
            let key = match scan.index {
                "by_id" => by_id_key(&document.id),
                "by_creation_time" => by_creation_time_key(document.creation_time, &document.id),
                _ => {
                    document_keys(&document.json, &definition, document.creation_time, &document.id).unwrap().remove(0)
                }
            };
            if range.contains(&key) {
                rows.push((key, document.clone()));
            }
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        if scan.order == Order::Desc {
            rows.reverse();
        }
        let behind = |a: &[u8], b: &[u8]| if scan.order == Order::Asc { a > b } else { a < b };
        rows.retain(|(key, _)| scan.after.is_none_or(|after| behind(key, after)));
        rows.retain(|(key, _)| scan.until.is_none_or(|until| !behind(key, until)));
        Ok(rows)
    }

    fn scan(&mut self, scan: &Scan<'_>) -> Result<Batch, DbError> {
        assert!(scan.limit > 0, "a scan asks for something");
        let rows = self.rows(scan)?;
        // Like an engine that does not look ahead: the end is seen only when it is run into.
        let done = rows.len() < scan.limit;
        let (mut keys, documents): (Vec<Arc<[u8]>>, Vec<Document>) =
            rows.into_iter().take(scan.limit).map(|(key, document)| (key.into(), document)).unzip();
        if !scan.keys {
            keys.drain(..keys.len().saturating_sub(1));
        }
        self.scans.push((scan.limit, documents.len()));
        self.usage.intervals_read += 1;
        self.usage.documents_read += documents.len() as u64;
        self.usage.bytes_read += documents.iter().map(|document| document.json.len() as u64).sum::<u64>();
        if self.usage.documents_read > self.documents_read_max {
            return Err(DbError::refused("TooManyDocumentsRead", "TooManyDocumentsRead: the limit is 32000"));
        }
        if self.usage.bytes_read > limits::BYTES_READ_MAX {
            return Err(DbError::refused("TooManyBytesRead", "TooManyBytesRead: the limit is 16 MiB"));
        }
        Ok(Batch { documents: documents.into(), keys, done })
    }

    fn check(&self, table: &str, fields: &Object) -> Result<(), DbError> {
        let checked = self.schema.check_document(table, fields, self);
        checked
            .map_err(|finding| DbError::refused("SchemaEnforcementError", format!("SchemaEnforcementError: {finding}")))
    }

    fn insert(&mut self, table: &str, json: &str) -> Result<DocumentId, DbError> {
        let fields = object_from_json(json).unwrap();
        assert_eq!(object_to_json(&fields), json, "fields are written canonically");
        self.check(table, &fields)?;
        let number = self.number_or_new(table);
        self.inserted += 1;
        // Spread over the ids, so that nothing relies on their order.
        let internal = u128::from(self.inserted.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(self.inserted);
        let id = DocumentId { table: number, internal: InternalId(internal.to_be_bytes()) };
        self.put(id, 1_700_000_000_000.0 + self.inserted as f64, fields);
        Ok(id)
    }

    fn number_or_new(&mut self, table: &str) -> TableNumber {
        let next = TableNumber(FIRST_TABLE + self.numbers.len() as u32);
        *self.numbers.entry(table.to_owned()).or_insert(next)
    }

    fn put(&mut self, id: DocumentId, creation_time: f64, mut fields: Object) {
        fields.insert("_id".into(), Value::String(id.to_string()));
        fields.insert("_creationTime".into(), Value::Float64(creation_time));
        let json: StoredText = object_to_json(&fields).into();
        let id_text = id.to_string();
        let fields_at = json.find(&id_text).unwrap() + id_text.len() + 1;
        let before = self.documents.insert(id, Document { id, creation_time, json: json.clone(), fields_at });
        self.writes += usize::from(before.is_none_or(|before| before.json != json));
    }

    fn update(&mut self, call: &str, id: DocumentId, change: impl FnOnce(&mut Object)) -> Result<(), DbError> {
        let Some(document) = self.documents.get(&id) else {
            return Err(DbError::nonexistent(call, &id));
        };
        let creation_time = document.creation_time;
        let mut fields = object_from_json(&document.json).unwrap();
        fields.retain(|name, _| !name.starts_with('_'));
        change(&mut fields);
        let table = self.name(id.table).unwrap();
        self.check(&table, &fields)?;
        self.put(id, creation_time, fields);
        Ok(())
    }
}

impl TableNumbers for State {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.numbers.get(name).copied()
    }

    fn name(&self, number: TableNumber) -> Option<String> {
        self.numbers.iter().find(|(_, n)| **n == number).map(|(name, _)| name.clone())
    }
}

fn text<'a>(fields: &Fields<'a>) -> &'a str {
    match *fields {
        Fields::Typed(json) | Fields::Untyped(json) => json,
    }
}

impl Tx for MemoryTx {
    fn table_number(&self, name: &str) -> Option<TableNumber> {
        self.lock().number(name)
    }

    fn table_name(&self, number: TableNumber) -> Option<Arc<str>> {
        self.lock().name(number).map(Into::into)
    }

    fn tables(&self) -> Reply<Vec<(TableNumber, Arc<str>)>> {
        let tables = self.lock().numbers.iter().map(|(name, number)| (*number, name.as_str().into())).collect();
        Reply::now(Ok(tables))
    }

    fn create_table(&self, name: &str) -> Reply<TableNumber> {
        Reply::now(Ok(self.lock().number_or_new(name)))
    }

    fn get(&self, id: DocumentId) -> Reply<Option<Document>> {
        Reply::now(Ok(self.lock().documents.get(&id).cloned()))
    }

    fn scan(&self, scan: Scan<'_>) -> Reply<Batch> {
        let answer = self.lock().scan(&scan);
        // Half of the answers take their time, so that both ways of answering are tried.
        if self.lock().scans.len().is_multiple_of(2) {
            Reply::now(answer)
        } else {
            Reply::Later(Box::pin(async { answer }))
        }
    }

    fn insert(&self, table: &str, fields: Fields<'_>) -> Reply<DocumentId> {
        Reply::now(self.lock().insert(table, text(&fields)))
    }

    fn patch(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()> {
        let patch: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text(&fields)).unwrap();
        Reply::now(self.lock().update("patch", id, |document| {
            for (name, value) in patch {
                if value.get("$undefined").is_some() {
                    document.remove(&name);
                } else {
                    document.insert(name, Value::from_json(&value.to_string()).unwrap());
                }
            }
        }))
    }

    fn replace(&self, id: DocumentId, fields: Fields<'_>) -> Reply<()> {
        let new = object_from_json(text(&fields)).unwrap();
        Reply::now(self.lock().update("replace", id, |document| *document = new))
    }

    fn delete(&self, id: DocumentId) -> Reply<()> {
        let mut state = self.lock();
        let deleted = state.documents.remove(&id).map(|_| ());
        Reply::now(deleted.ok_or_else(|| DbError::nonexistent("delete", &id)))
    }

    fn environment_variable(&self, name: &str) -> Reply<Option<Arc<str>>> {
        Reply::now(Ok(self.lock().environment.get(name).cloned()))
    }

    fn environment_variables(&self) -> Reply<Variables> {
        let set = |(name, value): (&String, &Arc<str>)| (name.as_str().into(), value.clone());
        Reply::now(Ok(self.lock().environment.iter().map(set).collect()))
    }

    fn begin_nested(&self) {
        let mut state = self.lock();
        let saved = (state.numbers.clone(), state.documents.clone());
        state.undo.push(saved);
    }

    fn end_nested(&self, end: NestedEnd) {
        let mut state = self.lock();
        let (numbers, documents) = state.undo.pop().expect("brackets are closed once");
        if end == NestedEnd::Undo {
            state.numbers = numbers;
            state.documents = documents;
        }
    }

    fn usage(&self) -> Usage {
        self.lock().usage
    }
}

/// The ids of all documents of a table, for tests that look behind the back of the functions.
pub fn ids(tx: &MemoryTx, table: &str) -> BTreeSet<DocumentId> {
    let number = tx.table_number(table).unwrap();
    tx.lock().documents.keys().filter(|id| id.table == number).copied().collect()
}
