//! What the macros accept, and what they say to each mistake: the signature or the attribute as it should be.
//!
//! `TRYBUILD=overwrite cargo test -p syncline-functions --test macros` writes the messages anew; read what changed.

#[test]
fn good_code_compiles_and_mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/macros/pass/*.rs");
    cases.compile_fail("tests/macros/fail/*.rs");
}
