//! Decoding a stored document takes no memory but what its fields hold: it is what the server does most.

// A counting allocator cannot be written without `unsafe`; nothing but this test has it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use syncline_schema::field::{self, Key, Keys};
use syncline_schema::serde::de::{MapAccess, Visitor};
use syncline_schema::serde::{Deserializer, Serializer};
use syncline_schema::{Doc, FieldType, Id, StoredText, Table, TableDefinition, Validator, Value, decode_json};

struct Counting;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations<T>(run: impl FnOnce() -> T) -> (usize, T) {
    let before = N_ALLOCATIONS.get();
    let result = run();
    (N_ALLOCATIONS.get() - before, result)
}

#[derive(Debug)]
struct Account {
    balance: f64,
    number: f64,
    owner: Option<Id<Account>>,
    version: i64,
}

impl FieldType for Account {
    fn validator() -> Validator {
        Validator::object([
            ("balance", f64::field_validator()),
            ("id", f64::field_validator()),
            ("owner", <Option<Id<Account>>>::field_validator()),
            ("version", i64::field_validator()),
        ])
    }

    fn decode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const KEYS: Keys = Keys::of_table(&["balance", "id", "owner", "version"]);
        struct AccountVisitor;
        impl<'de> Visitor<'de> for AccountVisitor {
            type Value = Account;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                KEYS.expecting(f)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Account, A::Error> {
                let (mut balance, mut number, mut owner, mut version) = (None, None, None, None);
                while let Some(Key(place)) = map.next_key_seed(KEYS)? {
                    match place {
                        0 => balance = Some(map.next_value_seed(field::FieldSeed::new())?),
                        1 => number = Some(map.next_value_seed(field::FieldSeed::new())?),
                        2 => owner = Some(map.next_value_seed(field::FieldSeed::new())?),
                        3 => version = Some(map.next_value_seed(field::FieldSeed::new())?),
                        _ => field::skip(&mut map)?,
                    }
                }
                Ok(Account {
                    balance: field::present(balance, "balance")?,
                    number: field::present(number, "id")?,
                    owner: field::present(owner, "owner")?,
                    version: field::present(version, "version")?,
                })
            }
        }
        deserializer.deserialize_map(AccountVisitor)
    }

    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = field::Fields::new(serializer)?;
        fields.field("balance", &self.balance)?;
        fields.field("id", &self.number)?;
        fields.field("owner", &self.owner)?;
        fields.field("version", &self.version)?;
        fields.end()
    }
}

impl Table for Account {
    const NAME: &'static str = "accounts";

    fn definition() -> TableDefinition {
        TableDefinition::new(Self::NAME, Self::validator())
    }
}

const STORED: &str = concat!(
    r#"{"_creationTime":1699931054642.111,"_id":"j577p7x0s4z5ah6jhe7pm462x57kmmrq","balance":5.0,"id":1.0,"#,
    r#""owner":"j577p7x0s4z5ah6jhe7pm462x57kmmrq","version":{"$integer":"AQAAAAAAAAA="}}"#,
);

#[test]
fn a_small_document_is_decoded_without_an_allocation() {
    let (n, account) = allocations(|| decode_json::<Account>(STORED));
    assert_eq!(n, 0);
    let account = account.unwrap();
    assert_eq!((account.balance, account.number, account.version), (5.0, 1.0, 1));

    let json: StoredText = STORED.into();
    let (n, doc) = allocations(|| Doc::<Account>::from_json(json));
    assert_eq!(n, 0);
    assert_eq!(doc.unwrap().owner.unwrap().text().len(), 32);
}

#[test]
fn the_allocator_counts() {
    let (n, _) = allocations(|| Value::from_json(STORED));
    assert!(n > 4, "{n}");
}
