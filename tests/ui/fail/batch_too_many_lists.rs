use piggyback::batch;

#[batch(
    size = 10,
    delay_ms = 10,
    items(
        l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11,
        l12, l13, l14, l15, l16, l17, l18, l19, l20, l21, l22, l23,
        l24
    )
)]
async fn save(l0: Vec<u64>, l1: Vec<u64>, l2: Vec<u64>, l3: Vec<u64>, l4: Vec<u64>, l5: Vec<u64>, l6: Vec<u64>, l7: Vec<u64>, l8: Vec<u64>, l9: Vec<u64>, l10: Vec<u64>, l11: Vec<u64>, l12: Vec<u64>, l13: Vec<u64>, l14: Vec<u64>, l15: Vec<u64>, l16: Vec<u64>, l17: Vec<u64>, l18: Vec<u64>, l19: Vec<u64>, l20: Vec<u64>, l21: Vec<u64>, l22: Vec<u64>, l23: Vec<u64>, l24: Vec<u64>) {}

fn main() {}
