//! Tells the tests whether there is a PostgreSQL to use: `#[sqlx::test]` fails without one, where others of our tests skip.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(database)");
    println!("cargo::rerun-if-env-changed=DATABASE_URL");
    if std::env::var_os("DATABASE_URL").is_some() {
        println!("cargo::rustc-cfg=database");
    }
}
