//! Reads numbers. Literals are checked, and a `Duration` is recognised by its name.

use super::Reading;
use super::values::value;
use crate::types::path_end;
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
        Expr::Call(call) => match duration(&call.func) {
            Some(unit) => {
                let message = not_a_duration(name, &unit, call, example);
                return Err(syn::Error::new_spanned(&expr, message));
            }
            None => return Ok(expr),
        },
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

/// The name of a constructor of `Duration`, by any path.
fn duration(function: &Expr) -> Option<String> {
    let [owner, name] = path_end(function)?;
    (owner == "Duration" && name.starts_with("from_")).then_some(name)
}

fn not_a_duration(name: &Ident, unit: &str, call: &ExprCall, example: &str) -> String {
    let number = match call.args.first() {
        Some(Expr::Lit(ExprLit {
            lit: Lit::Int(n), ..
        })) => n.base10_parse::<u64>().ok(),
        _ => None,
    };
    let in_ms = match (unit, number) {
        ("from_millis", Some(n)) => Some(n),
        ("from_secs", Some(n)) => n.checked_mul(1_000),
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
