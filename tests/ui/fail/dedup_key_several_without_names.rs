use piggyback::dedup;

pub struct Ctx {
    tenant: u64,
    user: u64,
}

#[dedup(key(ctx.tenant, id))]
async fn one_part(ctx: &Ctx, id: u64) -> u64 {
    ctx.tenant + id
}

#[dedup(key(ctx.tenant, ctx.user, id))]
async fn two_parts(ctx: &Ctx, id: u64) -> u64 {
    ctx.tenant + ctx.user + id
}

fn main() {}
