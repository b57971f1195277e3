use piggyback::dedup;

struct Rule(u64);

#[dedup(spawn, skip(rules))]
async fn price(id: u64, rules: &Vec<Rule>) -> u64 {
    id + rules[0].0
}

#[tokio::main]
async fn main() {
    price(1, &vec![Rule(1)]).await;
}
