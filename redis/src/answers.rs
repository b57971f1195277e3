//! The answers of the scripts, as the engine's. An answer of another shape is none.

use std::time::Duration;

use piggyback::fleet::{Closed, Joined, Looked, Renewed, Token};
use redis::Value;

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn time(value: &Value) -> Option<Duration> {
    let millis = u64::try_from(number(value)?.max(0)).ok()?;
    Some(Duration::from_millis(millis))
}

fn token(value: &Value) -> Option<Token> {
    Token::parse(std::str::from_utf8(bytes(value)?).ok()?)
}

pub(crate) fn joined(value: &Value, own: Token, inbox: &str) -> Option<Joined> {
    let Value::Array(parts) = value else {
        return None;
    };
    let [of, left, owner, age] = &parts[..] else {
        return None;
    };
    let of = token(of)?;
    Some(if of == own {
        Joined::Leads
    } else if bytes(owner)? == inbox.as_bytes() {
        Joined::Mine
    } else {
        Joined::Follows {
            token: of,
            lease_left: time(left)?,
            age: time(age)?,
        }
    })
}

pub(crate) fn looked(value: Value) -> Option<Looked> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let what = parts.next()?;
    Some(match bytes(&what)? {
        b"landed" => match parts.next()? {
            Value::BulkString(bytes) => Looked::Landed(bytes),
            _ => return None,
        },
        b"large" => Looked::Large,
        b"up" => Looked::Up {
            lease_left: time(&parts.next()?)?,
            current: number(&parts.next()?)? == 1,
        },
        b"gone" => Looked::Gone,
        _ => return None,
    })
}

pub(crate) fn renewed(value: Value) -> Option<Renewed> {
    match number(&value)? {
        1 => Some(Renewed::Current),
        0 => Some(Renewed::Superseded),
        -1 => Some(Renewed::Lost),
        _ => None,
    }
}

pub(crate) fn closed(value: Value) -> Option<Closed> {
    match number(&value)? {
        0 => Some(Closed::Alone),
        1 => Some(Closed::Waiting),
        -1 => Some(Closed::Lost),
        _ => None,
    }
}

pub(crate) fn done(value: Value) -> Option<()> {
    number(&value).map(|_| ())
}
