use piggyback::dedup;

pub struct Ctx {
    tenant: u64,
}

#[dedup(key(ctx.tenant, id))]
async fn show(ctx: &Ctx, id: u64) -> u64 {
    ctx.tenant + id
}

fn main() {}
