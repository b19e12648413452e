//! Typed and untyped reads and writes.

use futures::StreamExt as _;
use futures::executor::block_on;
use syncline::db::{Order, PaginationOptions};
use syncline::{MutationCtx, Result};
use syncline_schema::{Doc, DocumentId, Expression, FieldPath, Id, RangeOp, RangePart, Value};

use crate::app::{App, Message, Place, code, message};

fn scores(found: Result<Vec<Doc<Message>>>) -> Vec<f64> {
    found.unwrap().iter().map(|message| message.score).collect()
}

async fn first_id(ctx: &MutationCtx) -> Id<Message> {
    ctx.db.query(Message::all()).first().await.unwrap().unwrap().id
}

/// spec: D50, D64
#[test]
fn a_document_is_read_as_it_was_written_until_it_is_deleted() {
    let ctx = App::new().mutation();
    block_on(async {
        let written = Message { author: Some("ada".into()), ..message("a", 1.0) };
        let id = ctx.db.insert(written.clone()).await.unwrap();
        let read = ctx.db.get(id).await.unwrap().unwrap();
        assert_eq!((read.id, &*read), (id, &written));
        assert!(read.creation_time > 1_700_000_000_000.0);
        ctx.db.delete(id).await.unwrap();
        assert!(ctx.db.get(id).await.unwrap().is_none());
    });
}

/// spec: D53
#[test]
fn a_patch_sets_and_removes_the_fields_it_names() {
    let ctx = App::with_messages(1).mutation();
    block_on(async {
        let id = first_id(&ctx).await;
        let read = || async { ctx.db.get(id).await.unwrap().unwrap().into_inner() };
        ctx.db.patch(id, Message::patch().author("ada").score(5.0)).await.unwrap();
        assert_eq!(read().await, Message { author: Some("ada".into()), ..message("a", 5.0) });
        ctx.db.patch(id, Message::patch().clear_author()).await.unwrap();
        assert_eq!(read().await, message("a", 5.0));
        ctx.db
            .patch(id, Message::patch().author(Some("bob".to_owned())).place(Place { city: "x".into() }))
            .await
            .unwrap();
        ctx.db.patch(id, Message::patch().author(None)).await.unwrap();
        assert_eq!(read().await, Message { place: Some(Place { city: "x".into() }), ..message("a", 5.0) });
    });
}

/// spec: D54
#[test]
fn a_replacement_has_only_the_fields_given() {
    let ctx = App::with_messages(1).mutation();
    block_on(async {
        let id = first_id(&ctx).await;
        ctx.db.patch(id, Message::patch().author("ada")).await.unwrap();
        ctx.db.replace(id, message("b", 7.0)).await.unwrap();
        assert_eq!(*ctx.db.get(id).await.unwrap().unwrap(), message("b", 7.0));
    });
}

/// spec: D51
#[test]
fn an_id_of_another_table_is_refused_with_both_tables() {
    let ctx = App::with_messages(1).mutation();
    block_on(async {
        let id: DocumentId = first_id(&ctx).await.into();
        let as_user: Id<syncline::users::User> = id.into();
        let texts = [
            ctx.db.get(as_user).await.unwrap_err(),
            ctx.db.delete(as_user).await.unwrap_err(),
            ctx.db.patch(as_user, syncline::users::User::patch().name("x")).await.unwrap_err(),
            ctx.db.table("users").get(&id.to_string()).await.unwrap_err(),
            ctx.db.table("users").delete(&id.to_string()).await.unwrap_err(),
        ];
        for text in texts.map(|error| error.to_string()) {
            assert!(text.contains("of the table `messages`") && text.contains("of the table `users`"), "{text}");
        }
    });
}

/// spec: D50
#[test]
fn a_text_that_is_no_id_is_refused_with_the_argument() {
    let ctx = App::new().query();
    let text = block_on(ctx.db.table("messages").get("nonsense")).unwrap_err().to_string();
    assert!(text.contains("`get`") && text.contains("the argument `id` is no id"), "{text}");
}

/// spec: D50
#[test]
fn an_id_of_an_unknown_table_is_of_no_document() {
    use syncline::tx::Tx as _;
    let app = App::new();
    let mut id = DocumentId::parse("j577p7x0s4z5ah6jhe7pm462x57kmmrq").unwrap();
    for table in [20_000, app.tx.table_number("messages").unwrap().0] {
        id.table.0 = table;
        assert!(block_on(app.query().db.get(Id::<Message>::from(id))).unwrap().is_none());
    }
}

/// spec: D25
#[test]
fn a_text_is_an_id_of_its_own_table_only() {
    let ctx = App::with_messages(1).mutation();
    let id = block_on(first_id(&ctx));
    assert_eq!(ctx.db.normalize_id::<Message>(&id.to_string()), Some(id));
    assert_eq!(ctx.db.normalize_id::<syncline::users::User>(&id.to_string()), None);
    assert_eq!(ctx.db.normalize_id::<Message>("nonsense"), None);
    assert_eq!(ctx.db.table("nowhere").normalize_id(&id.to_string()), None);
}

/// spec: D59
#[test]
fn a_table_is_read_in_order_of_creation_or_in_reverse() {
    let db = App::with_messages(4).query().db;
    assert_eq!(scores(block_on(db.query(Message::all()).collect())), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(scores(block_on(db.query(Message::all()).newest().collect())), [3.0, 2.0, 1.0, 0.0]);
    assert_eq!(scores(block_on(db.query(Message::all()).oldest().take(1))), [0.0]);
    assert_eq!(scores(block_on(db.query(Message::by_id()).order(Order::Desc).collect())).len(), 4);
}

#[test]
fn ranges_are_equalities_and_then_bounds() {
    let app = App::with_messages(10);
    block_on(app.mutation().db.insert(message("b", 100.0))).unwrap();
    let db = app.query().db;
    let by = Message::by_channel_score;
    let check = |query: syncline::db::Query<Doc<Message>>, expected: &[f64]| {
        assert_eq!(scores(block_on(query.collect())), expected);
    };
    check(db.query(by().eq("a").gt(6.0)), &[7.0, 8.0, 9.0]);
    check(db.query(by().eq("a").gte(8.0)), &[8.0, 9.0]);
    check(db.query(by().eq("a").lt(2.0)), &[0.0, 1.0]);
    check(db.query(by().eq("a").lte(1.0)), &[0.0, 1.0]);
    check(db.query(by().eq("a").gt(2.0).lt(5.0)), &[3.0, 4.0]);
    check(db.query(by().eq("a").lte(5.0).gte(4.0)), &[4.0, 5.0]);
    check(db.query(by().eq("a").gt(5.0).lt(1.0)), &[]);
    check(db.query(by().eq("a").eq(3.0)), &[3.0]);
    check(db.query(by().gt("a")), &[100.0]);
    let third = block_on(db.query(by().eq("a").eq(3.0)).first()).unwrap().unwrap();
    check(db.query(Message::by_creation_time().lte(third.creation_time).gte(third.creation_time)), &[3.0]);
    check(db.query(by().eq("a").eq(3.0).eq(third.creation_time).eq(third.id)), &[3.0]);
    check(db.query(Message::by_id().eq(third.id)), &[3.0]);
}

/// spec: D63
#[test]
fn a_missing_field_is_a_key_too() {
    let app = App::with_messages(2);
    let ctx = app.mutation();
    block_on(ctx.db.insert(Message { author: Some("ada".into()), ..message("a", 9.0) })).unwrap();
    block_on(ctx.db.insert(Message { place: Some(Place { city: "x".into() }), ..message("a", 10.0) })).unwrap();
    assert_eq!(scores(block_on(ctx.db.query(Message::by_author().eq(None)).collect())), [0.0, 1.0, 10.0]);
    assert_eq!(scores(block_on(ctx.db.query(Message::by_author().gt(None)).collect())), [9.0]);
    assert_eq!(scores(block_on(ctx.db.query(Message::by_author().eq("ada")).collect())), [9.0]);
    let city = Value::String("x".into());
    assert_eq!(scores(block_on(ctx.db.query(Message::by_nested().eq(&city)).collect())), [10.0]);
}

/// spec: D57
#[test]
fn first_and_unique_give_one_document_or_none() {
    let db = App::with_messages(3).query().db;
    let of = |score: f64| Message::by_channel_score().eq("a").eq(score);
    assert_eq!(block_on(db.query(of(1.0)).unique()).unwrap().unwrap().score, 1.0);
    assert!(block_on(db.query(of(9.0)).unique()).unwrap().is_none());
    assert!(block_on(db.query(of(9.0)).first()).unwrap().is_none());
    let all = block_on(db.query(Message::all()).collect()).unwrap();
    let text = block_on(db.query(Message::all()).unique()).unwrap_err().to_string();
    for fact in ["`messages`", &all[0].id.to_string(), &all[1].id.to_string()] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
}

/// spec: D58
#[test]
fn nothing_is_read_beyond_what_is_taken() {
    let app = App::with_messages(10);
    let db = app.query().db;
    assert_eq!(block_on(db.query(Message::all()).take(0)).unwrap().len(), 0);
    assert_eq!(app.tx.take_scans(), []);
    block_on(db.query(Message::all()).take(3)).unwrap();
    assert_eq!(app.tx.take_scans(), [(3, 3)]);
    block_on(db.query(Message::all()).first()).unwrap();
    assert_eq!(app.tx.take_scans(), [(1, 1)]);
    block_on(db.query(Message::all()).unique()).unwrap_err();
    assert_eq!(app.tx.take_scans(), [(2, 2)]);
    block_on(db.query(Message::all()).take(50)).unwrap();
    assert_eq!(app.tx.take_scans(), [(50, 10)]);
}

#[test]
fn filters_drop_documents_after_reading_them() {
    let app = App::with_messages(100);
    let db = app.query().db;
    let even = |message: &Doc<Message>| message.score % 2.0 == 0.0;
    let found = db.query(Message::all()).filter(even).filter(|message| message.score > 10.0).take(3);
    assert_eq!(scores(block_on(found)), [12.0, 14.0, 16.0]);
    let read: usize = app.tx.take_scans().iter().map(|(_, got)| got).sum();
    assert!((17..40).contains(&read), "little more than needed is read: {read}");
    assert_eq!(block_on(db.query(Message::all()).filter(even).newest().first()).unwrap().unwrap().score, 98.0);
}

#[test]
fn a_stream_reads_as_far_as_it_is_consumed() {
    let app = App::with_messages(2_000);
    let db = app.query().db;
    let mut stream = db.query(Message::all()).stream();
    block_on(async {
        for i in 0..5 {
            assert_eq!(stream.next().await.unwrap().unwrap().score, f64::from(i));
        }
    });
    assert_eq!(app.tx.take_scans(), [(4, 4), (8, 8)]);
    assert_eq!(block_on(stream.count()), 1_995);
    assert!(app.tx.take_scans().iter().all(|(asked, _)| *asked <= 256));
}

/// Source: `tests/spec/data-and-functions.md` 4.2.
#[test]
fn the_order_is_said_once() {
    let db = App::with_messages(3).query().db;
    let all = || db.query(Message::all());
    assert_eq!(scores(block_on(all().order(Order::Desc).collect())), [2.0, 1.0, 0.0]);
    for (twice, n) in [
        (all().newest().newest(), 2),
        (all().oldest().filter(|_| true).newest(), 2),
        (all().order(Order::Asc).order(Order::Asc).oldest(), 3),
    ] {
        let text = block_on(twice.collect()).unwrap_err().to_string();
        assert!(text.contains("`messages`") && text.contains(&format!("{n} times")), "{text}");
    }
    let twice = || all().newest().oldest();
    assert!(block_on(twice().first()).is_err() && block_on(twice().unique()).is_err());
    assert!(block_on(twice().take(0)).is_err(), "also where nothing would be read");
    assert!(block_on(twice().stream().next()).unwrap().is_err());
    assert!(block_on(twice().paginate(PaginationOptions::first(2))).is_err());
}

/// Source: `tests/spec/data-and-functions.md` 4.2.
#[test]
fn a_query_has_at_most_256_operators() {
    let db = App::with_messages(3).query().db;
    let with = |n: usize| (1..n).fold(db.query(Message::all()).newest(), |query, _| query.filter(|_| true));
    assert_eq!(block_on(with(256).collect()).unwrap().len(), 3);
    let text = block_on(with(257).collect()).unwrap_err().to_string();
    assert!(text.contains("257") && text.contains("at most 256"), "{text}");
}

#[test]
fn untyped_queries_are_filtered_by_expressions() {
    let ctx = App::with_messages(10).mutation();
    let all = || ctx.db.table("messages").query();
    let by = |json: &str| all().filter_by(Expression::from_json(json).unwrap());
    let above_six = r#"{"$gt":[{"$field":"score"},{"$literal":6}]}"#;
    assert_eq!(block_on(by(above_six).collect()).unwrap().len(), 3);
    let even = r#"{"$eq":[{"$mod":[{"$field":"score"},{"$literal":2}]},{"$literal":0}]}"#;
    let both = by(above_six).filter_by(Expression::from_json(even).unwrap()).newest();
    assert_eq!(block_on(both.first()).unwrap().unwrap()["score"], Value::Float64(8.0));
    assert_eq!(code(block_on(by(r#"{"$lt":[{"$neg":{"$field":"channel"}},{"$literal":1}]}"#).collect())), "EvalError");
    let text = block_on(by(r#"{"$field":"score"}"#).collect()).unwrap_err().to_string();
    assert!(text.contains("expected a Boolean"), "{text}");
}

/// spec: D79
#[test]
fn a_cursor_of_another_expression_is_refused() {
    let page = |json: &str, options: PaginationOptions| {
        let app = App::with_messages(10);
        let query = app.query().db.table("messages").query();
        block_on(query.filter_by(Expression::from_json(json).unwrap()).paginate(options))
    };
    let above = |n: u32| format!(r#"{{"$gt":[{{"$field":"score"}},{{"$literal":{n}}}]}}"#);
    let first = page(&above(2), PaginationOptions::first(3)).unwrap();
    let next = PaginationOptions::after(3, first.continue_cursor);
    assert_eq!(page(&above(2), next.clone()).unwrap().page.len(), 3);
    assert_eq!(code(page(&above(3), next)), "InvalidCursor");
}

/// spec: D60
#[test]
fn an_unknown_table_is_empty_and_an_unknown_index_an_error() {
    let ctx = App::with_messages(1).mutation();
    assert!(block_on(ctx.db.table("nowhere").query().collect()).unwrap().is_empty());
    assert_eq!(code(block_on(ctx.db.table("messages").index("by_nothing", vec![]).collect())), "IndexNotFoundError");
}

/// spec: D52
#[test]
fn untyped_documents_are_objects() {
    let ctx = App::with_messages(3).mutation();
    block_on(async {
        let table = ctx.db.table("notes");
        let note = [("text".to_owned(), Value::String("x".into()))].into();
        let id = table.insert(&note).await.unwrap().to_string();
        let patch = [("text".to_owned(), None), ("stars".to_owned(), Some(Value::Float64(5.0)))].into();
        table.patch(&id, &patch).await.unwrap();
        let read = table.get(&id).await.unwrap().unwrap();
        assert_eq!(read["_id"], Value::String(id.clone()));
        assert_eq!((read.get("text"), &read["stars"]), (None, &Value::Float64(5.0)));
        table.replace(&id, &note).await.unwrap();
        assert_eq!(table.query().first().await.unwrap().unwrap()["text"], Value::String("x".into()));
        table.delete(&id).await.unwrap();
        assert!(table.get(&id).await.unwrap().is_none());
        let range = vec![RangePart {
            op: RangeOp::Eq,
            field: FieldPath::parse("channel").unwrap(),
            value: Some(Value::String("a".into())),
        }];
        assert_eq!(ctx.db.table("messages").index("by_channel", range).collect().await.unwrap().len(), 3);
    });
}

#[test]
fn a_document_that_does_not_fit_its_type_is_told_with_its_id() {
    let mut schema = crate::app::tables();
    schema.validation = false;
    let app = App { tx: crate::memory::MemoryTx::new(schema), ..App::new() };
    let wrong = [("channel".to_owned(), Value::Float64(1.0))].into();
    let id = block_on(app.mutation().db.table("messages").insert(&wrong)).unwrap();
    let text = block_on(app.query().db.query(Message::all()).first()).unwrap_err().to_string();
    for fact in [&id.to_string(), "`messages`", "at .channel"] {
        assert!(text.contains(fact), "{fact} in {text}");
    }
}
