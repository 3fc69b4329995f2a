//! An embedded DynamoDB with streams: `dynoxide`, in memory, behind its HTTP server.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType, TimeToLiveSpecification,
};
use dynoxide::Database;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::runtime;
use tokio::sync::oneshot;

/// The shop's table. Its key is `orderId`, and its stream has new and old images.
pub const ORDERS: &str = "Orders";

/// The key of [`ORDERS`].
const ORDER_ID: &str = "orderId";

/// The projector's log of each order. Its key is `order` and `seq`, and its time to live is in `expiresAt`.
pub const FEED: &str = "OrderFeed";

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DynamoError {
    #[error("the embedded DynamoDB cannot listen")]
    Listen(#[source] io::Error),
    #[error("the embedded DynamoDB failed")]
    Database(#[from] dynoxide::DynoxideError),
    #[error("table {table} was not created")]
    Table {
        table: &'static str,
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// The orders table was created without a stream.
    #[error("table {ORDERS} has no stream")]
    NoStream,
}

/// A running DynamoDB. When `drop` returns, its port is free and its connections are closed.
///
/// It runs on its own thread, so a paused clock or a busy runtime does not stop it.
pub struct Dynamo {
    address: SocketAddr,
    database: Database,
    /// A drop stops the server.
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Dynamo {
    /// Serves an empty database at `address`. Port 0 means any free port.
    pub async fn start(address: impl ToSocketAddrs) -> Result<Self, DynamoError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(DynamoError::Listen)?;
        let address = listener.local_addr().map_err(DynamoError::Listen)?;
        let listener = listener.into_std().map_err(DynamoError::Listen)?;
        let database = Database::memory()?;
        let (stop, stopped) = oneshot::channel();
        let served = database.clone();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DynamoError::Listen)?;
        let server = thread::Builder::new()
            .name("dynamo".to_owned())
            .spawn(move || runtime.block_on(serve(listener, served, stopped)))
            .map_err(DynamoError::Listen)?;
        Ok(Self {
            address,
            database,
            stop: Some(stop),
            server: Some(server),
        })
    }

    /// The URL for clients, such as `http://127.0.0.1:8000`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        client(&self.endpoint())
    }

    #[must_use]
    pub fn streams(&self) -> aws_sdk_dynamodbstreams::Client {
        streams(&self.endpoint())
    }

    /// Deletes the items whose time to live has ended, and returns how many. DynamoDB does this within a few days.
    pub fn sweep(&self) -> Result<usize, DynamoError> {
        Ok(self.database.sweep_ttl()?)
    }
}

impl Drop for Dynamo {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(server) = self.server.take() {
            // If the server panicked, its thread has printed that.
            let _ = server.join();
        }
    }
}

/// A client of a DynamoDB that does not check signatures, such as this one or moto's.
#[must_use]
pub fn client(endpoint: &str) -> aws_sdk_dynamodb::Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .region(region())
        .credentials_provider(credentials())
        .endpoint_url(endpoint)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// A client of the same server's streams.
#[must_use]
pub fn streams(endpoint: &str) -> aws_sdk_dynamodbstreams::Client {
    let config = aws_sdk_dynamodbstreams::Config::builder()
        .region(region())
        .credentials_provider(credentials())
        .endpoint_url(endpoint)
        .build();
    aws_sdk_dynamodbstreams::Client::from_conf(config)
}

/// Ends with `stopped`. The runtime ends with it, and so does every connection.
async fn serve(
    listener: std::net::TcpListener,
    database: Database,
    stopped: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the embedded DynamoDB cannot listen"),
    };
    tokio::select! {
        served = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()) => {
            tracing::error!(?served, "the embedded DynamoDB ended");
        }
        _ = stopped => {}
    }
}

/// Creates [`ORDERS`] and [`FEED`], empty, and returns the ARN of the stream of orders.
///
/// # Errors
///
/// [`DynamoError::Table`] if a table exists already or the server does not answer.
pub async fn create_tables(client: &aws_sdk_dynamodb::Client) -> Result<String, DynamoError> {
    create_tables_with_key(client, &[ORDER_ID]).await
}

/// The same, if the key of [`ORDERS`] has these attributes, the partition key first. They are strings.
///
/// # Errors
///
/// [`DynamoError::Table`] if a table exists already or the server does not answer.
pub async fn create_tables_with_key(
    client: &aws_sdk_dynamodb::Client,
    attributes: &[&str],
) -> Result<String, DynamoError> {
    let arn = create_orders_with_key(client, attributes)
        .await
        .map_err(|source| table(ORDERS, source))?;
    create_feed(client)
        .await
        .map_err(|source| table(FEED, source))?;
    arn.ok_or(DynamoError::NoStream)
}

/// Creates [`ORDERS`], empty, and returns the ARN of its stream.
///
/// # Errors
///
/// The table exists already, or the server does not answer.
pub async fn create_orders(
    client: &aws_sdk_dynamodb::Client,
) -> Result<Option<String>, aws_sdk_dynamodb::Error> {
    create_orders_with_key(client, &[ORDER_ID]).await
}

async fn create_orders_with_key(
    client: &aws_sdk_dynamodb::Client,
    attributes: &[&str],
) -> Result<Option<String>, aws_sdk_dynamodb::Error> {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()?;
    let mut create = client
        .create_table()
        .table_name(ORDERS)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream);
    for (name, kind) in attributes.iter().zip([KeyType::Hash, KeyType::Range]) {
        create = create
            .attribute_definitions(attribute(name, ScalarAttributeType::S)?)
            .key_schema(key(name, kind)?);
    }
    let created = create.send().await?;
    Ok(created
        .table_description
        .and_then(|table| table.latest_stream_arn))
}

async fn create_feed(client: &aws_sdk_dynamodb::Client) -> Result<(), aws_sdk_dynamodb::Error> {
    client
        .create_table()
        .table_name(FEED)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("order", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("seq", ScalarAttributeType::N)?)
        .key_schema(key("order", KeyType::Hash)?)
        .key_schema(key("seq", KeyType::Range)?)
        .send()
        .await?;
    let expiry = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expiresAt")
        .build()?;
    client
        .update_time_to_live()
        .table_name(FEED)
        .time_to_live_specification(expiry)
        .send()
        .await?;
    Ok(())
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
}

fn table(table: &'static str, source: aws_sdk_dynamodb::Error) -> DynamoError {
    DynamoError::Table {
        table,
        source: Box::new(source),
    }
}

fn region() -> Region {
    Region::from_static("us-east-1")
}

/// The embedded DynamoDB wants a signature but does not check it.
fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}
