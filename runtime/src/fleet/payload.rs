//! Which part of a result travels.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec;

/// How a result travels between processes.
pub trait Payload {
    /// The result.
    type Output;
    /// Its bytes.
    fn encode(&self, output: &Self::Output) -> Encoded;
    /// The result that these bytes are.
    fn decode(&self, bytes: &[u8]) -> Option<Self::Output>;
}

/// A result's bytes, if there are any.
#[derive(Debug)]
pub enum Encoded {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// A result that is not to be shared.
    Kept,
    /// One that should be, but can't.
    Unencodable,
}

impl Encoded {
    fn of<T: Serialize>(value: &T) -> Self {
        codec::encode(value).map_or(Self::Unencodable, Self::Bytes)
    }
}

/// The whole result.
#[derive(Debug)]
pub struct Whole<T>(PhantomData<fn() -> T>);

impl<T> Whole<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned> Payload for Whole<T> {
    type Output = T;
    fn encode(&self, output: &T) -> Encoded {
        Encoded::of(output)
    }
    fn decode(&self, bytes: &[u8]) -> Option<T> {
        codec::decode(bytes)
    }
}

/// `Ok` only.
#[derive(Debug)]
pub struct Success<T, E>(PhantomData<fn() -> (T, E)>);

impl<T, E> Success<T, E> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Serialize + DeserializeOwned, E> Payload for Success<T, E> {
    type Output = Result<T, E>;
    fn encode(&self, output: &Result<T, E>) -> Encoded {
        match output {
            Ok(value) => Encoded::of(value),
            Err(_) => Encoded::Kept,
        }
    }
    fn decode(&self, bytes: &[u8]) -> Option<Result<T, E>> {
        codec::decode(bytes).map(Ok)
    }
}
