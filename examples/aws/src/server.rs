//! Where the clients go: a `moto_server` that lives as long as this value, or an address that somebody gives.

use std::env;
use std::io;
use std::process::Stdio;

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// An implementation of AWS in Python, on a free port of this machine.
#[derive(Debug)]
pub(crate) struct Moto {
    pub(crate) endpoint: String,
    /// Ends when this is dropped.
    _process: Child,
}

impl Moto {
    /// `MOTO_SERVER`, or what `PATH` has. `None` if it is not installed.
    pub(crate) async fn start() -> io::Result<Option<Self>> {
        let program = env::var_os("MOTO_SERVER").unwrap_or_else(|| "moto_server".into());
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = match process {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            process => process?,
        };
        let stderr = process.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some((_, address)) = line.split_once("Running on ") {
                let endpoint = address.trim().to_owned();
                // It logs every request; a full pipe would stop it.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Some(Self {
                    endpoint,
                    _process: process,
                }));
            }
        }
        Err(io::Error::other("moto_server ended without an address"))
    }
}

/// How the three clients are made.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) sns: aws_sdk_sns::Client,
}

impl Clients {
    /// Of the service at this address, or of AWS itself. Region and credentials come from the usual environment variables, and
    /// are made up if there are none.
    pub(crate) fn new(endpoint: Option<&str>) -> Self {
        let variable = |name: &str, default: &str| env::var(name).unwrap_or(default.to_owned());
        let region = Region::new(variable("AWS_REGION", "eu-central-1"));
        let credentials = SharedCredentialsProvider::new(Credentials::new(
            variable("AWS_ACCESS_KEY_ID", "nobody"),
            variable("AWS_SECRET_ACCESS_KEY", "nothing"),
            env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "environment",
        ));
        let http = aws_smithy_http_client::Builder::new();
        #[cfg(feature = "tls")]
        let http = {
            use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
            http.tls_provider(Provider::Rustls(CryptoMode::Ring))
                .build_https()
        };
        #[cfg(not(feature = "tls"))]
        let http = http.build_http();
        macro_rules! client {
            ($sdk:ident) => {{
                let mut config = $sdk::Config::builder()
                    .region(region.clone())
                    .credentials_provider(credentials.clone())
                    .http_client(http.clone());
                config.set_endpoint_url(endpoint.map(str::to_owned));
                $sdk::Client::from_conf(config.build())
            }};
        }
        Self {
            dynamodb: client!(aws_sdk_dynamodb),
            sqs: client!(aws_sdk_sqs),
            sns: client!(aws_sdk_sns),
        }
    }
}
