//! The page.
use crate::report::Report;
pub(crate) fn page(_report: &Report) -> String {
    String::new()
}
