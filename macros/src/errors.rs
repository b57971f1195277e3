//! Collects all mistakes of an attribute, each at the tokens to change.

use proc_macro2::TokenStream;
use quote::ToTokens;
use std::fmt::Display;

/// The mistakes so far.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// Adds a mistake at the tokens that the user should change.
    pub(crate) fn at(&mut self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` per mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0
            .map(|error| error.to_compile_error())
            .unwrap_or_default()
    }
}

/// Finds the known name that `word` was most likely meant to be.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(longer) = known
        .iter()
        .find(|name| word.len() >= 3 && name.starts_with(word))
    {
        return Some(longer);
    }
    if let Some(shorter) = known.iter().find(|name| {
        word.strip_suffix(**name)
            .is_some_and(|rest| rest.ends_with('_'))
    }) {
        return Some(shorter);
    }
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .min()
        .filter(|&(distance, name)| distance <= 1 + name.len().min(word.len()) / 4)
        .map(|(_, name)| name)
}

/// The message for an argument that does not exist.
pub(crate) fn no_argument(word: &str, known: &[String]) -> String {
    match did_you_mean(word, known.iter().map(String::as_str)) {
        _ if word == "self" => "this function has no `self`".to_owned(),
        Some(meant) => format!("there is no argument `{word}`; did you mean `{meant}`?"),
        None if known.is_empty() => {
            format!("there is no argument `{word}`; this function has no arguments")
        }
        None => format!(
            "there is no argument `{word}`; the arguments are `{}`",
            known.join("`, `")
        ),
    }
}

/// Counts the letters to add, drop, change, or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["size", "delay_ms", "skip", "share_err"];
        assert_eq!(did_you_mean("siez", known), Some("size"));
        assert_eq!(did_you_mean("delay", known), Some("delay_ms"));
        assert_eq!(did_you_mean("delayms", known), Some("delay_ms"));
        assert_eq!(did_you_mean("max_delay_ms", known), Some("delay_ms"));
        assert_eq!(did_you_mean("share_error", known), Some("share_err"));
        assert_eq!(did_you_mean("ttl", known), None);
    }
}
