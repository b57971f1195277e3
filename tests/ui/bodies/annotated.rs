//! The same errors with and without the attribute: see `bodies_are_checked_as_ever`.
use piggyback::dedup;

#[dedup]
pub async fn f0(id: u64) -> u64 {
    "a"
}

#[dedup]
pub async fn f1(id: u64) -> u64 {
    let x: u32 = id; u64::from(x)
}

#[dedup]
pub async fn f2(id: u64) -> u64 {
    return "a";
}

#[dedup]
pub async fn f3(id: u64) -> u64 {
    missing(id)
}

#[dedup]
pub async fn f4(id: u64) -> u64 {
    id.missing()
}

#[dedup]
pub async fn f5(id: u64) -> u64 {
    let s = String::new(); drop(s); s.len() as u64
}

#[dedup]
pub async fn f6(id: u64) -> String {
    id
}

#[dedup]
pub async fn f7(id: u64) -> Result<u64, String> {
    id
}

#[dedup]
pub async fn f8(id: u64) -> Result<u64, String> {
    Err(1)
}

#[dedup]
pub async fn f9(id: u64) -> Result<u64, String> {
    let x: u64 = "1".parse()?; Ok(x)
}

#[dedup]
pub async fn f10(id: u64) -> Option<u64> {
    Some("a")
}

#[dedup]
pub async fn f11(id: u64) -> u64 {
    let f = |x: u64| x + "a"; f(id)
}

#[dedup]
pub async fn f12(id: u64) -> u64 {
    if id > 1 { "a" } else { 2 }
}

#[dedup]
pub async fn f13(id: u64) -> u64 {
    match id { 1 => 1 }
}

#[dedup]
pub async fn f14(id: u64) -> u64 {
    Missing { id }.id
}

#[dedup]
pub async fn f15(id: u64) -> u64 {
    let x = 1; x = 2; x
}

#[dedup]
pub async fn f16(id: u64) -> u64 {
    let v = vec![id]; v[0u8]
}

#[dedup]
pub async fn f17(id: u64) -> u64 {
    let mut v = vec![id]; let f = &v[0]; v.push(1); *f
}

#[dedup]
pub async fn f18(id: u64) {
    id
}

#[dedup]
pub async fn f19(id: u64) -> Vec<u64> {
    vec!["a"]
}

#[dedup]
pub async fn f20(id: u64) -> u64 {
    id.await
}

#[dedup]
pub async fn f21(id: u64) -> u64 {
    let r: &str = &id; r.len() as u64
}

fn main() {}
