//! Pages: gapless, each document once, whatever happens between the runs.

use futures::executor::block_on;
use proptest::prelude::*;
use syncline::db::{PageStatus, PaginationOptions, PaginationResult};
use syncline::{MutationCtx, QueryCtx, Result};
use syncline_schema::{Doc, FieldType, Id, Nullable, decode_json};

use crate::app::{App, Message, code, message};

pub mod paging {
    use super::*;

    #[syncline::query]
    pub async fn twice(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<f64> {
        let first = ctx.db.query(Message::all()).paginate(pagination_opts.clone()).await?;
        let second = ctx.db.query(Message::all()).paginate(pagination_opts).await?;
        Ok((first.page.len() + second.page.len()) as f64)
    }

    #[syncline::query]
    pub async fn filtered(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<Page> {
        ctx.db.query(Message::all()).filter(|message| message.score % 10.0 == 0.0).paginate(pagination_opts).await
    }

    #[syncline::query]
    pub async fn other_filter(ctx: &QueryCtx, pagination_opts: PaginationOptions) -> Result<Page> {
        ctx.db.query(Message::all()).filter(|message| message.score % 9.0 == 0.0).paginate(pagination_opts).await
    }

    #[syncline::query]
    pub async fn scored(ctx: &QueryCtx, above: f64, pagination_opts: PaginationOptions) -> Result<Page> {
        ctx.db.query(Message::by_channel_score().eq("a").gt(above)).paginate(pagination_opts).await
    }

    #[syncline::query]
    pub async fn descending(ctx: &QueryCtx, above: f64, pagination_opts: PaginationOptions) -> Result<Page> {
        ctx.db.query(Message::by_channel_score().eq("a").gt(above)).newest().paginate(pagination_opts).await
    }
}

type Page = PaginationResult<Doc<Message>>;

const SCORED: &str = "pages/paging:scored";
const DESCENDING: &str = "pages/paging:descending";

/// A page as a client gets it, with the journal.
fn page(app: &App, path: &str, options: &PaginationOptions) -> Result<(Page, Option<String>)> {
    app.tx.reset_usage();
    let options = syncline_schema::encode_json(options);
    let above = if path.ends_with("filtered") || path.ends_with("filter") { "" } else { r#""above":-1,"# };
    let (result, report) = app.call_reporting(path, &format!(r#"{{{above}"paginationOpts":{options}}}"#));
    match result {
        Ok(json) => Ok((decode_json(&json).unwrap(), report.journal)),
        Err(failure) => Err(syncline::Error::new(failure.message)),
    }
}

fn get(app: &App, path: &str, options: &PaginationOptions) -> Page {
    page(app, path, options).unwrap().0
}

fn scores(page: &Page) -> Vec<f64> {
    page.page.iter().map(|message| message.score).collect()
}

fn after(n: usize, cursor: &str) -> PaginationOptions {
    PaginationOptions::after(n, cursor)
}

fn until(start: Nullable<String>, end: &str) -> PaginationOptions {
    PaginationOptions { cursor: start, end_cursor: Some(Nullable::Some(end.to_owned())), ..PaginationOptions::first(1) }
}

/// All pages of size `n`, to the end.
fn all_pages(app: &App, path: &str, n: usize) -> Vec<Page> {
    let mut pages = vec![get(app, path, &PaginationOptions::first(n))];
    while !pages.last().unwrap().is_done {
        let cursor = pages.last().unwrap().continue_cursor.clone();
        pages.push(get(app, path, &after(n, &cursor)));
    }
    pages
}

/// spec: D68, D69, D70
#[test]
fn pages_give_each_document_once_in_order() {
    for (m, n) in [(0, 1), (1, 1), (7, 3), (9, 3), (10, 20), (30, 7)] {
        let app = App::with_messages(m);
        let pages = all_pages(&app, SCORED, n);
        let all: Vec<f64> = pages.iter().flat_map(scores).collect();
        assert_eq!(all, (0..m).map(|i| i as f64).collect::<Vec<_>>(), "{m} documents in pages of {n}");
        assert_eq!(pages.len(), m / n + 1);
        assert!(pages.iter().all(|page| page.page_status == Nullable::Null));
        let down: Vec<f64> = all_pages(&app, DESCENDING, n).iter().flat_map(scores).collect();
        assert_eq!(down, all.into_iter().rev().collect::<Vec<_>>());
    }
}

/// spec: D69, D70
#[test]
fn a_page_that_is_exactly_filled_is_not_done() {
    let app = App::with_messages(3);
    let full = get(&app, SCORED, &PaginationOptions::first(3));
    assert!(!full.is_done);
    let last = get(&app, SCORED, &after(3, &full.continue_cursor));
    assert!(last.is_done && last.page.is_empty());
    let beyond = get(&app, SCORED, &after(3, &last.continue_cursor));
    assert!(beyond.is_done && beyond.page.is_empty());
    let json = app.call(SCORED, r#"{"above":-1,"paginationOpts":{"numItems":1,"cursor":null,"id":5}}"#).unwrap();
    assert!(json.contains(r#""pageStatus":null,"splitCursor":null"#), "{json}");
}

/// spec: D71
#[test]
fn a_filter_that_drops_everything_still_moves_the_cursor() {
    let app = App::with_messages(30);
    let options = PaginationOptions { maximum_rows_read: Some(5.0), ..PaginationOptions::first(10) };
    let first = get(&app, "pages/paging:filtered", &options);
    assert_eq!(scores(&first), [0.0]);
    let options = PaginationOptions { cursor: Nullable::Some(first.continue_cursor), ..options };
    let second = get(&app, "pages/paging:filtered", &options);
    assert!(second.page.is_empty() && !second.is_done);
    let options = PaginationOptions { cursor: Nullable::Some(second.continue_cursor), ..options };
    assert_eq!(scores(&get(&app, "pages/paging:filtered", &options)), [10.0]);
    let all: Vec<f64> = all_pages(&app, "pages/paging:filtered", 2).iter().flat_map(scores).collect();
    assert_eq!(all, [0.0, 10.0, 20.0]);
}

/// spec: D72
#[test]
fn an_end_cursor_takes_all_documents_up_to_it() {
    let app = App::with_messages(20);
    let first = get(&app, SCORED, &PaginationOptions::first(5));
    let second = get(&app, SCORED, &after(10, &first.continue_cursor));
    let start = Nullable::Some(first.continue_cursor.clone());
    let options = PaginationOptions {
        maximum_rows_read: Some(1.0),
        maximum_bytes_read: Some(1.0),
        ..until(start, &second.continue_cursor)
    };
    let whole = get(&app, SCORED, &options);
    assert_eq!(scores(&whole), scores(&second));
    assert_eq!(whole.continue_cursor, second.continue_cursor);
    assert!(!whole.is_done && whole.page_status == Nullable::Null);
    let backwards = get(&app, SCORED, &until(Nullable::Some(second.continue_cursor), &first.continue_cursor));
    assert!(backwards.page.is_empty());
}

/// spec: D73
#[test]
fn a_page_that_runs_again_keeps_its_end() {
    let mut app = App::with_messages(10);
    let (first, journal) = page(&app, SCORED, &PaginationOptions::first(4)).unwrap();
    assert_eq!(journal.as_ref(), Some(&first.continue_cursor));
    app.journal = journal.map(Into::into);
    block_on(app.mutation().db.insert(message("a", 1.5))).unwrap();
    let (longer, journal) = page(&app, SCORED, &PaginationOptions::first(4)).unwrap();
    assert_eq!(scores(&longer), [0.0, 1.0, 1.5, 2.0, 3.0]);
    assert_eq!(journal.as_deref(), app.journal.as_deref());
    block_on(app.mutation().db.delete(longer.page[0].id)).unwrap();
    block_on(app.mutation().db.delete(longer.page[4].id)).unwrap();
    assert_eq!(scores(&get(&app, SCORED, &PaginationOptions::first(4))), [1.0, 1.5, 2.0]);
}

/// spec: D74
#[test]
fn the_last_page_grows_at_the_end() {
    let mut app = App::with_messages(2);
    let (last, journal) = page(&app, SCORED, &PaginationOptions::first(4)).unwrap();
    assert!(last.is_done);
    app.journal = journal.map(Into::into);
    for score in [7.0, 8.0, 9.0, 10.0] {
        block_on(app.mutation().db.insert(message("a", score))).unwrap();
    }
    let grown = get(&app, SCORED, &PaginationOptions::first(4));
    assert_eq!(scores(&grown), [0.0, 1.0, 7.0, 8.0, 9.0, 10.0]);
    assert!(grown.is_done);
    assert_eq!(grown.continue_cursor, last.continue_cursor);
}

#[test]
fn an_end_cursor_wins_over_the_journal() {
    let mut app = App::with_messages(10);
    let end = get(&app, SCORED, &PaginationOptions::first(6)).continue_cursor;
    app.journal = page(&app, SCORED, &PaginationOptions::first(2)).unwrap().1.map(Into::into);
    assert_eq!(scores(&get(&app, SCORED, &until(Nullable::Null, &end))).len(), 6);
}

/// spec: D75
#[test]
fn the_split_cursor_divides_a_page() {
    let app = App::with_messages(10);
    let whole = get(&app, SCORED, &PaginationOptions::first(7));
    let Nullable::Some(split) = &whole.split_cursor else { panic!("seven documents can be divided") };
    let left = get(&app, SCORED, &until(Nullable::Null, split));
    let right = get(&app, SCORED, &until(Nullable::Some(split.clone()), &whole.continue_cursor));
    assert_eq!(scores(&left), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!([scores(&left), scores(&right)].concat(), scores(&whole));
    let two = get(&app, SCORED, &PaginationOptions::first(2));
    assert_eq!(two.split_cursor, Nullable::Null);
}

/// spec: D76
#[test]
fn limits_of_the_client_cut_a_page_but_let_it_move_on() {
    let app = App::with_messages(10);
    let rows = PaginationOptions { maximum_rows_read: Some(4.0), ..PaginationOptions::first(8) };
    let cut = get(&app, SCORED, &rows);
    assert_eq!(scores(&cut), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!((cut.is_done, cut.page_status), (false, Nullable::Some(PageStatus::SplitRequired)));
    let bytes = PaginationOptions { maximum_bytes_read: Some(1.0), ..PaginationOptions::first(8) };
    let cut = get(&app, SCORED, &bytes);
    assert_eq!(scores(&cut), [0.0]);
    assert_eq!(cut.page_status, Nullable::Some(PageStatus::SplitRequired));
    assert_eq!(scores(&get(&app, SCORED, &after(1, &cut.continue_cursor))), [1.0]);
}

#[test]
fn a_page_close_to_a_limit_should_be_divided() {
    let app = App::with_messages(10);
    let rows = |n: usize| PaginationOptions { maximum_rows_read: Some(8.0), ..PaginationOptions::first(n) };
    assert_eq!(get(&app, SCORED, &rows(6)).page_status, Nullable::Null);
    assert_eq!(get(&app, SCORED, &rows(7)).page_status, Nullable::Some(PageStatus::SplitRecommended));
}

#[test]
fn a_limit_of_the_transaction_cuts_the_page_before_it_is_spoilt() {
    let mut app = App::with_messages(20);
    let fresh = get(&app, SCORED, &PaginationOptions::first(20));
    let options = syncline_schema::encode_json(&PaginationOptions::first(20));
    let arguments = format!(r#"{{"above":-1,"paginationOpts":{options}}}"#);
    let cut = |app: &App| -> Page {
        app.tx.reset_usage();
        app.tx.use_documents(31_990);
        decode_json(&app.call(SCORED, &arguments).unwrap()).unwrap()
    };
    let page = cut(&app);
    assert_eq!((page.page.len(), page.page_status), (10, Nullable::Some(PageStatus::SplitRequired)));
    assert_eq!(scores(&get(&app, SCORED, &after(1, &page.continue_cursor))), [10.0]);
    // With a known end the page is cut too, but the next one begins where it always did.
    app.journal = Some(fresh.continue_cursor.clone().into());
    let page = cut(&app);
    assert_eq!((page.page.len(), page.page_status), (10, Nullable::Some(PageStatus::SplitRequired)));
    assert_eq!((page.continue_cursor, page.is_done), (fresh.continue_cursor, false));
    assert!(matches!(page.split_cursor, Nullable::Some(_)));
}

/// spec: D77
#[test]
fn sizes_out_of_range_fail_with_their_codes() {
    let app = App::with_messages(1);
    let paginate = |options: PaginationOptions| code(block_on(app.query().db.query(Message::all()).paginate(options)));
    for items in [0.0, -1.0, f64::NAN] {
        let options = PaginationOptions { num_items: items, ..PaginationOptions::default() };
        assert_eq!(paginate(options), "NoDocumentsForPagination", "{items}");
    }
    assert_eq!(paginate(PaginationOptions::first(32_001)), "PageSizeTooLarge");
    assert!(block_on(app.query().db.query(Message::all()).paginate(PaginationOptions::first(32_000))).is_ok());
    let rows = PaginationOptions { maximum_rows_read: Some(0.0), ..PaginationOptions::first(1) };
    assert_eq!(paginate(rows.clone()), "InvalidPaginationLimit");
    let text = block_on(app.query().db.query(Message::all()).paginate(rows)).unwrap_err().to_string();
    assert!(text.contains("`maximumRowsRead`"), "{text}");
}

/// spec: D78
#[test]
fn a_function_reads_one_page() {
    let app = App::with_messages(1);
    let failure = app.call("pages/paging:twice", r#"{"paginationOpts":{"numItems":1,"cursor":null}}"#).unwrap_err();
    assert!(failure.message.contains("MultiplePaginatedDatabaseQueries"), "{}", failure.message);
}

/// spec: D79
#[test]
fn a_cursor_of_another_query_is_refused_so_that_clients_begin_again() {
    let app = App::with_messages(30);
    let cursor = get(&app, SCORED, &PaginationOptions::first(4)).continue_cursor;
    let filtered = get(&app, "pages/paging:filtered", &PaginationOptions::first(1)).continue_cursor;
    let options = |cursor: &str| syncline_schema::encode_json(&after(4, cursor));
    let calls = [
        (DESCENDING, format!(r#"{{"above":-1,"paginationOpts":{}}}"#, options(&cursor))),
        (SCORED, format!(r#"{{"above":0,"paginationOpts":{}}}"#, options(&cursor))),
        ("messages:page", format!(r#"{{"channel":"a","paginationOpts":{}}}"#, options(&cursor))),
        ("pages/paging:other_filter", format!(r#"{{"paginationOpts":{}}}"#, options(&filtered))),
        (SCORED, format!(r#"{{"above":-1,"paginationOpts":{}}}"#, options("nonsense"))),
        (SCORED, format!(r#"{{"above":-1,"paginationOpts":{}}}"#, options(""))),
        (SCORED, format!(r#"{{"above":-1,"paginationOpts":{}}}"#, options(&cursor[..cursor.len() - 4]))),
    ];
    for (path, arguments) in calls {
        let failure = app.call(path, &arguments).expect_err(&arguments);
        assert!(failure.message.starts_with("Uncaught ConvexError: InvalidCursor: "), "{}", failure.message);
        let data = r#"{"isConvexSystemError":true,"paginationError":"InvalidCursor"}"#;
        assert_eq!(failure.data.as_deref(), Some(data));
    }
}

/// spec: D79
#[test]
fn a_journal_of_another_query_is_refused() {
    let mut app = App::with_messages(5);
    app.journal = Some(get(&app, DESCENDING, &PaginationOptions::first(4)).continue_cursor.into());
    let text = page(&app, SCORED, &PaginationOptions::first(4)).unwrap_err().to_string();
    assert!(text.contains("InvalidCursor"), "{text}");
}

/// spec: D80
#[test]
fn cursors_mean_the_same_to_another_server_with_the_same_data() {
    let cursor = get(&App::with_messages(9), SCORED, &PaginationOptions::first(4)).continue_cursor;
    assert_eq!(scores(&get(&App::with_messages(9), SCORED, &after(2, &cursor))), [4.0, 5.0]);
}

#[test]
fn the_options_are_those_that_clients_send() {
    let exported = concat!(
        "v.object({cursor: v.union(v.string(), v.null()), endCursor: v.optional(v.union(v.string(), v.null())), ",
        "id: v.optional(v.float64()), maximumBytesRead: v.optional(v.float64()), ",
        "maximumRowsRead: v.optional(v.float64()), numItems: v.float64()})"
    );
    assert_eq!(PaginationOptions::validator().to_string(), exported);
}

/// What happens between two runs of the pages.
#[derive(Clone, Debug)]
enum Change {
    Insert(i32),
    Delete(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![(-100..2_000).prop_map(Change::Insert), (0..40usize).prop_map(Change::Delete)];
    prop::collection::vec(change, 0..12)
}

fn apply(ctx: &MutationCtx, changes: &[Change]) {
    for change in changes {
        match change {
            // Between the scores that are there, and beyond them at both ends.
            Change::Insert(at) => drop(block_on(ctx.db.insert(message("a", f64::from(*at) / 50.0 + 0.001))).unwrap()),
            Change::Delete(n) => {
                let all: Vec<Id<Message>> =
                    block_on(ctx.db.query(Message::all()).collect()).unwrap().iter().map(|found| found.id).collect();
                if let Some(id) = all.get(*n) {
                    block_on(ctx.db.delete(*id)).unwrap();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Pages with their journals, after any changes: the documents of the range, each once, in order.
    ///
    /// spec: D68, D73, D74, D75
    #[test]
    fn pages_stay_gapless_while_documents_come_and_go(
        m in 0..30usize,
        n in 1..9usize,
        descending: bool,
        changes in changes(),
        split: bool,
    ) {
        let path = if descending { DESCENDING } else { SCORED };
        let mut app = App::with_messages(m);
        let pages = all_pages(&app, path, n);
        apply(&app.mutation(), &changes);
        let mut found = Vec::new();
        let mut start = Nullable::Null;
        for page in &pages {
            let options = PaginationOptions { cursor: start.clone(), ..PaginationOptions::first(n) };
            app.journal = Some(page.continue_cursor.clone().into());
            let now = get(&app, path, &options);
            app.journal = None;
            prop_assert_eq!(&now.continue_cursor, &page.continue_cursor);
            if let (Nullable::Some(middle), true) = (&now.split_cursor, split) {
                let left = get(&app, path, &until(start.clone(), middle));
                let right = get(&app, path, &until(Nullable::Some(middle.clone()), &now.continue_cursor));
                prop_assert_eq!([scores(&left), scores(&right)].concat(), scores(&now));
                prop_assert!(!left.page.is_empty() && !right.page.is_empty());
            }
            found.extend(scores(&now));
            start = Nullable::Some(now.continue_cursor);
        }
        let ctx = app.query();
        let range = ctx.db.query(Message::by_channel_score().eq("a").gt(-1.0));
        let range = if descending { range.newest() } else { range };
        let expected: Vec<f64> = block_on(range.collect()).unwrap().iter().map(|found| found.score).collect();
        prop_assert_eq!(found, expected);
    }
}
