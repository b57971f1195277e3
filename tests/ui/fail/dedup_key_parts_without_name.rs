use piggyback::dedup;

pub struct Ctx {
    tenant: u64,
    user: u64,
}

#[dedup(key(ctx.tenant, ctx.user, id))]
async fn show(ctx: &Ctx, id: u64) -> u64 {
    ctx.tenant + ctx.user + id
}

fn main() {}
