//! How numbers are read: a literal is looked at, and a `Duration` is known by its name.

use super::Reading;
use super::values::value;
use proc_macro2::Ident;
use syn::{Expr, ExprCall, ExprLit, Lit};

/// A number that is at least 1.
pub(super) fn count(reading: Reading<'_, '_>) -> syn::Result<Expr> {
    let name = reading.name;
    let count = number(reading)?;
    match &count {
        Expr::Lit(ExprLit {
            lit: Lit::Int(int), ..
        }) if int.base10_digits() == "0" => {
            let message = format!("`{name}` must be at least 1");
            Err(syn::Error::new_spanned(&count, message))
        }
        _ => Ok(count),
    }
}

pub(super) fn number(reading: Reading<'_, '_>) -> syn::Result<Expr> {
    let (name, example) = (reading.name, reading.example);
    let expr: Expr = value(reading)?;
    let lit = match &expr {
        Expr::Lit(ExprLit { lit, .. }) => lit,
        Expr::Call(call) if is_duration(&call.func) => {
            return Err(syn::Error::new_spanned(
                &expr,
                not_a_duration(name, call, example),
            ));
        }
        _ => return Ok(expr),
    };
    let wrong = match lit {
        Lit::Int(int) if ["", "usize", "u64"].contains(&int.suffix()) => return Ok(expr),
        Lit::Int(int) => format!(
            "`{name}` takes a plain number; write `{name} = {}`",
            int.base10_digits()
        ),
        Lit::Str(text) => {
            let digits: String = text
                .value()
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            if digits.is_empty() {
                format!("`{name}` takes a number, not a string; write for example `{example}`")
            } else {
                format!("`{name}` takes a number, not a string; write `{name} = {digits}`")
            }
        }
        _ => format!("`{name}` takes a whole number; write for example `{example}`"),
    };
    Err(syn::Error::new_spanned(&expr, wrong))
}

/// `Duration::from_millis`, by whatever path.
fn is_duration(function: &Expr) -> bool {
    let Expr::Path(path) = function else {
        return false;
    };
    let mut names = path
        .path
        .segments
        .iter()
        .rev()
        .map(|segment| &segment.ident);
    names
        .next()
        .is_some_and(|name| name.to_string().starts_with("from_"))
        && names.next().is_some_and(|name| name == "Duration")
}

fn not_a_duration(name: &Ident, call: &ExprCall, example: &str) -> String {
    let in_ms = match (&*call.func, call.args.first()) {
        (
            Expr::Path(path),
            Some(Expr::Lit(ExprLit {
                lit: Lit::Int(n), ..
            })),
        ) => {
            let unit = path.path.segments.last().map(|last| last.ident.to_string());
            match (unit.as_deref(), n.base10_parse::<u64>()) {
                (Some("from_millis"), Ok(n)) => Some(n),
                (Some("from_secs"), Ok(n)) => n.checked_mul(1_000),
                _ => None,
            }
        }
        _ => None,
    };
    match in_ms {
        Some(n) if name.to_string().ends_with("_ms") => {
            format!(
                "`{name}` takes a number of milliseconds, not a `Duration`; write `{name} = {n}`"
            )
        }
        _ => format!("`{name}` takes a number, not a `Duration`; write for example `{example}`"),
    }
}
