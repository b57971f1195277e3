//! A client of a gRPC service, with tonic: overlapping equal calls are one unary call, and each caller has its own deadline.
//!
//! ```sh
//! cargo run -p piggyback-services --features tonic --bin grpc
//! ```
//!
//! There are two deadlines. The one of the shared call is the client's own, and goes over the wire as `grpc-timeout`. The one of
//! a caller only ends its own waiting. With `spawn`, the call continues while any caller waits: a caller with a short deadline
//! neither cancels it for the others nor makes one of them start anew.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use piggyback::{Scope, dedup};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// What `tonic-prost-build` makes of a `.proto` file. `build.rs` describes the service without one, which needs no `protoc`.
mod pb {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        reason = "generated"
    )]

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PriceRequest {
        #[prost(string, tag = "1")]
        pub symbol: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PriceReply {
        #[prost(uint64, tag = "1")]
        pub cents: u64,
    }

    include!(concat!(env!("OUT_DIR"), "/shop.Prices.rs"));
}
use pb::prices_client::PricesClient;
use pb::prices_server::{Prices, PricesServer};
use pb::{PriceReply, PriceRequest};

/// The client that a service uses. `tonic::Status` is `Clone`, so errors are shared as they are.
#[derive(Clone, Debug)]
struct SharedPrices {
    client: PricesClient<Channel>,
    /// Of the shared call.
    deadline: Duration,
    scope: Scope,
}

impl SharedPrices {
    async fn connect(
        address: SocketAddr,
        deadline: Duration,
    ) -> Result<Self, tonic::transport::Error> {
        Ok(Self {
            client: PricesClient::connect(format!("http://{address}")).await?,
            deadline,
            scope: Scope::new(),
        })
    }

    #[dedup(spawn, scope = self.scope)]
    async fn price(&self, symbol: &str) -> Result<PriceReply, Status> {
        let mut request = Request::new(PriceRequest {
            symbol: symbol.to_owned(),
        });
        request.set_timeout(self.deadline);
        Ok(self.client.clone().price(request).await?.into_inner())
    }

    /// For a caller that has less time than the shared call.
    async fn price_within(&self, symbol: &str, time: Duration) -> Result<PriceReply, Status> {
        timeout(time, self.price(symbol))
            .await
            .map_err(|_| Status::deadline_exceeded("the caller's own deadline"))?
    }
}

/// The service, which counts its calls and answers when there is a permit.
#[derive(Clone, Debug)]
struct Shop {
    calls: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
}

#[tonic::async_trait]
impl Prices for Shop {
    async fn price(&self, request: Request<PriceRequest>) -> Result<Response<PriceReply>, Status> {
        self.calls.fetch_add(1, Relaxed);
        let permit = self.answers.acquire().await.expect("it stays open");
        permit.forget();
        match &*request.into_inner().symbol {
            "" => Err(Status::invalid_argument("a symbol has a letter at least")),
            symbol => Ok(Response::new(PriceReply {
                cents: 100 * symbol.len() as u64,
            })),
        }
    }
}

async fn start(answers: usize) -> Result<(Shop, SocketAddr), Box<dyn std::error::Error>> {
    let shop = Shop {
        calls: Arc::default(),
        answers: Arc::new(Semaphore::new(answers)),
    };
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = incoming.local_addr()?;
    let server = Server::builder()
        .add_service(PricesServer::new(shop.clone()))
        .serve_with_incoming(incoming);
    tokio::spawn(server);
    Ok((shop, address))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (shop, address) = start(Semaphore::MAX_PERMITS).await?;
    let prices = SharedPrices::connect(address, Duration::from_secs(5)).await?;
    let callers = (0..1_000).map(|n| {
        let prices = prices.clone();
        let symbol = ["PIG", "GOAT"][n % 2];
        tokio::spawn(async move { prices.price_within(symbol, Duration::from_secs(2)).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await??;
    }
    println!(
        "1,000 callers, {} calls over the wire",
        shop.calls.load(Relaxed)
    );
    print!("{}", prices.scope.stats());
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::sleep;
    use tonic::Code;

    use super::*;

    async fn started(answers: usize, deadline: Duration) -> (Shop, SharedPrices) {
        let (shop, address) = start(answers).await.unwrap();
        let prices = SharedPrices::connect(address, deadline).await.unwrap();
        (shop, prices)
    }

    const LONG: Duration = Duration::from_secs(600);

    /// Waits until this many callers wait for the call of another.
    async fn waiting(prices: &SharedPrices, callers: u64) {
        while prices
            .scope
            .stats()
            .rows
            .first()
            .is_none_or(|row| row.waiting < callers)
        {
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn callers_that_overlap_share_one_call() {
        let (shop, prices) = started(0, LONG).await;
        let calls = join_all((0..100).map(|_| prices.price("PIG")));
        let answer = async {
            while shop.calls.load(Relaxed) == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            shop.answers.add_permits(1);
        };
        let (prices, ()) = tokio::join!(calls, answer);
        assert!(
            prices
                .iter()
                .all(|price| price.as_ref().unwrap().cents == 300)
        );
        assert_eq!(shop.calls.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_callers_deadline_ends_its_own_waiting_only() {
        let (shop, prices) = started(0, LONG).await;
        // It starts the call, and leaves before there is an answer.
        let hasty = prices.price_within("PIG", Duration::from_millis(50));
        let patient = {
            let prices = prices.clone();
            tokio::spawn(async move { prices.price("PIG").await })
        };
        let error = hasty.await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
        waiting(&prices, 1).await;
        // One too many: a second call would be answered, and counted.
        shop.answers.add_permits(2);
        assert_eq!(patient.await.unwrap().unwrap().cents, 300);
        assert_eq!(shop.calls.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn the_deadline_of_the_call_reaches_all_callers() {
        let (shop, prices) = started(0, Duration::from_millis(50)).await;
        let answers = join_all((0..100).map(|_| prices.price("PIG"))).await;
        for answer in answers {
            let code = answer.unwrap_err().code();
            assert!(
                matches!(code, Code::DeadlineExceeded | Code::Cancelled),
                "{code}"
            );
        }
        assert_eq!(shop.calls.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn an_error_of_the_service_reaches_all_callers() {
        let (_, prices) = started(100, LONG).await;
        let answers = join_all((0..100).map(|_| prices.price(""))).await;
        for answer in answers {
            assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
        }
    }
}
