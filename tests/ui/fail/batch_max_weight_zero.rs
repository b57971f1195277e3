use piggyback::batch;

#[batch(size = 10, delay_ms = 10, weight = |body| body.len(), max_weight = 0)]
async fn send(bodies: Vec<String>) {
    drop(bodies);
}

fn main() {}
