//! Tells the tests whether there is a PostgreSQL to use: `#[sqlx::test]` fails without one, where others of our tests skip.
//! Generates the gRPC service, for the feature `tonic`.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(database)");
    println!("cargo::rerun-if-env-changed=DATABASE_URL");
    if std::env::var_os("DATABASE_URL").is_some() {
        println!("cargo::rustc-cfg=database");
    }
    #[cfg(feature = "tonic")]
    grpc();
}

/// From a description in Rust: a `.proto` file would need `protoc`.
#[cfg(feature = "tonic")]
fn grpc() {
    use tonic_build::manual::{Builder, Method, Service};
    let price = Method::builder()
        .name("price")
        .route_name("Price")
        .input_type("crate::pb::PriceRequest")
        .output_type("crate::pb::PriceReply")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let service = Service::builder()
        .name("Prices")
        .package("shop")
        .method(price)
        .build();
    Builder::new().compile(&[service]);
}
