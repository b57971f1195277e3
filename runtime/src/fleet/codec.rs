//! How keys and results travel: MessagePack that names its fields and says that it is readable by people.
//!
//! Formats that rely on the order of fields fail on `flatten`, `untagged` and `skip_serializing_if`, some of them silently.
//! The first byte says what follows: a value, or that there is none to share.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Before a value.
pub(crate) const VALUE: u8 = b'V';
/// Alone: there is a result, but none to share.
pub(crate) const NOTHING: u8 = b'X';

/// How deep a value may be nested.
const DEPTH: usize = 96;

/// A value's bytes, with `VALUE` before them.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    let mut bytes = vec![VALUE];
    write(value, &mut bytes)?;
    Some(bytes)
}

/// A key's bytes.
pub(crate) fn encode_key<T: Serialize + ?Sized>(key: &T) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(32);
    write(key, &mut bytes)?;
    Some(bytes)
}

fn write<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Option<()> {
    let mut serializer = rmp_serde::Serializer::new(bytes)
        .with_struct_map()
        .with_human_readable();
    unless_it_panics(|| value.serialize(&mut serializer).ok())
}

/// A `Serialize` or `Deserialize` that panics must not fail a call that works without a fleet.
fn unless_it_panics<T>(user: impl FnOnce() -> Option<T>) -> Option<T> {
    let mut result = None;
    crate::wake::guarded(|| result = user());
    result
}

/// The value, if these are the bytes of one, and of no more.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let mut rest = match bytes.split_first() {
        Some((&VALUE, rest)) => rest,
        _ => return None,
    };
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest).with_human_readable();
    deserializer.set_max_depth(DEPTH);
    let value = unless_it_panics(|| T::deserialize(&mut deserializer).ok())?;
    rest.is_empty().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::{BTreeMap, HashMap};
    use std::fmt::Debug;

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
        let bytes = encode(&value).expect("encodes");
        assert_eq!(decode::<T>(&bytes), Some(value));
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        a: u8,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        b: Option<String>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        others: HashMap<String, i64>,
        c: Either,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
        Struct { x: f64 },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "is")]
    enum Tagged {
        Unit,
        New(Vec<u8>),
        Tuple(i8, char),
        Struct { deep: Box<Option<Tagged>> },
    }

    #[test]
    fn what_serde_can_say_comes_back_as_it_was() {
        for c in [
            Either::Number(7),
            Either::Text("7".into()),
            Either::Struct { x: 1.5 },
        ] {
            let b = matches!(c, Either::Text(_)).then(|| "b".to_owned());
            let others = HashMap::from([("n".to_owned(), -1)]);
            let inner = Inner { a: 255, b };
            comes_back(vec![Outer { inner, others, c }]);
        }
        comes_back(vec![
            Tagged::Unit,
            Tagged::New(vec![0, 255]),
            Tagged::Tuple(-1, 'ß'),
        ]);
        comes_back(Tagged::Struct {
            deep: Box::new(Some(Tagged::Unit)),
        });
        comes_back((u64::MAX, i64::MIN, f64::MIN_POSITIVE, f32::MAX));
        comes_back(f64::INFINITY);
        comes_back(BTreeMap::from([
            ((1, "a".to_owned()), ()),
            ((2, String::new()), ()),
        ]));
        comes_back(Some(vec![None, Some(1)]));
        comes_back(u128::MAX);
        comes_back(std::net::IpAddr::from([127, 0, 0, 1]));
        comes_back(std::time::Duration::new(1, 2));
        comes_back(Ok::<u8, String>(1));
    }

    #[test]
    fn bytes_that_are_not_exactly_one_value_are_refused() {
        let good = encode(&vec![1_u32, 2, 3]).expect("encodes");
        for cut in 0..good.len() {
            assert_eq!(decode::<Vec<u32>>(&good[..cut]), None, "{cut}");
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(decode::<Vec<u32>>(&longer), None);
        assert_eq!(decode::<Vec<u32>>(&[NOTHING]), None);
        assert_eq!(decode::<String>(&good), None);
        // A length of four gigabytes, and nothing behind it.
        for marker in [0xc6, 0xdb, 0xdd, 0xdf] {
            let huge = [VALUE, marker, 255, 255, 255, 255];
            assert_eq!(decode::<Vec<u8>>(&huge), None);
            assert_eq!(decode::<String>(&huge), None);
            assert_eq!(decode::<HashMap<String, u8>>(&huge), None);
        }
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Nest(Vec<Nest>);

    #[test]
    fn a_value_that_is_nested_too_deep_is_refused_before_the_stack_ends() {
        let mut bytes = vec![VALUE];
        bytes.extend(std::iter::repeat_n(0x91, 1_000_000));
        bytes.push(0x90);
        assert_eq!(decode::<Nest>(&bytes), None);
        assert_eq!(decode::<Nest>(&[VALUE, 0x90]), Some(Nest(vec![])));
    }

    #[derive(Debug)]
    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }

    #[test]
    fn what_panics_is_not_shared() {
        assert_eq!(encode(&Panics), None);
        assert_eq!(encode_key(&(1, Panics)), None);
        assert!(decode::<Panics>(&[VALUE, 0x90]).is_none());
    }

    #[test]
    fn equal_keys_are_equal_bytes_and_others_are_not() {
        assert_eq!(
            encode_key(&(1_u64, "a")),
            encode_key(&(1_u8, "a".to_owned()))
        );
        assert_ne!(encode_key(&("ab", "c")), encode_key(&("a", "bc")));
        assert_ne!(encode_key(&None::<u8>), encode_key(&Some(0_u8)));
    }
}
