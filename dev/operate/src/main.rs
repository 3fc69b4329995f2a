//! `make operate`: the operator's command. It only reads the arguments.
#![allow(
    clippy::print_stderr,
    reason = "a command line program talks to its user"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Parser, Subcommand};
use operate::backfill::{Backfill, Source};
use operate::check::Check;
use operate::cost::{Deployment, cost};
use operate::error::OperateError;
use operate::filter::FilterCriteria;
use operate::output::Output;
use operate::show::{follow, show};
use operate::tables::{OrdersTable, client};
use operate::token::{Token, TokenRequest};
use operate::{ids, tables};
use order_status_stream::clock::Clock;
use order_status_stream::feed::LogId;
use order_status_stream::feed::dynamodb::DynamoDbFeed;
use order_status_stream::order::OrderId;
use order_status_stream::settings::ProjectorSettings;

/// Shows, checks and repairs the feed of order-status-stream.
///
/// It reads the functions' environment variables, of which FEED_TABLE is required, and finds DynamoDB and credentials as the
/// AWS command line does.
#[derive(Parser)]
#[command(name = "operate")]
struct Arguments {
    /// Print a JSON object a line, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print an order's log, or a customer's: `%customer/` and the customer's id.
    Show { order: String },
    /// Print an order's log, and what is appended to it until the order is finished.
    Follow { order: String },
    /// Read the whole feed and report what is wrong with it. Ends with 1 if something is. Changes nothing.
    Check {
        /// Also compare the feed with this table.
        #[arg(long, env)]
        orders_table: Option<String>,
        /// Read units a second at most.
        #[arg(long, default_value_t = 1000.0, value_parser = rate)]
        rate: f64,
    },
    /// Print the filter of the projector's event source mapping, as `aws lambda update-event-source-mapping
    /// --filter-criteria` takes it. The template makes the same one of OrderKey.
    Filter,
    /// Touch orders, so that the projector sees them. Safe to repeat.
    Backfill(BackfillArguments),
    /// Print a token that opens orders, for support. Needs the private key of your tokens.
    Token(TokenArguments),
    /// Print what a deployment cost, from CloudWatch's metrics. FEED_TABLE is the only setting that it reads.
    Cost(CostArguments),
}

#[derive(Args)]
struct TokenArguments {
    #[arg(required = true)]
    orders: Vec<String>,
    /// A file with the private key, in PEM.
    #[arg(long)]
    key: PathBuf,
    /// The `kid` of the key, if the function's key set has more than one.
    #[arg(long)]
    key_id: Option<String>,
    /// How many minutes it opens them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    #[arg(long, env = "JWT_ORDERS_CLAIM", default_value = "orders")]
    orders_claim: String,
    #[arg(long, env = "JWT_ISSUER")]
    issuer: Option<String>,
    #[arg(long, env = "JWT_AUDIENCE")]
    audience: Option<String>,
}

#[derive(Args)]
struct CostArguments {
    /// The name of the stream function, as `aws lambda list-functions` shows it.
    #[arg(long, env)]
    stream_function: String,
    /// The name of the projector's function. Without it, its cost is left out.
    #[arg(long, env)]
    projector_function: Option<String>,
    /// The stack, whose functions also count how long customers watched.
    #[arg(long, env)]
    stack_name: Option<String>,
    /// The memory of each function, in MB.
    #[arg(long, default_value_t = 128)]
    memory: u16,
    /// How many hours, up to now.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=9600))]
    hours: u32,
}

#[derive(Args)]
struct BackfillArguments {
    #[arg(long, env)]
    orders_table: String,
    /// Touch only the orders in this file, an id a line. `-` is standard input.
    #[arg(long, conflicts_with = "failed_records")]
    list: Option<PathBuf>,
    /// Touch only the orders in this folder: a copy of the bucket of failed records, by `aws s3 cp --recursive`.
    #[arg(long)]
    failed_records: Option<PathBuf>,
    /// Touch orders that have a log too. Implied by --failed-records.
    #[arg(long)]
    all: bool,
    /// The attribute that is written.
    #[arg(long, default_value = "touchedAt")]
    attribute: String,
    /// Orders a second at most.
    #[arg(long, default_value_t = 25.0, value_parser = rate)]
    rate: f64,
    /// Write nothing. Count what would be touched.
    #[arg(long)]
    dry_run: bool,
    /// Remember in this file how far it came, and go on there.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    let rate = rate.filter(|rate| (0.01..=1e6).contains(rate));
    rate.ok_or_else(|| "it must be a number from 0.01 to 1000000".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode, OperateError> {
    let output = Output {
        json: arguments.json,
    };
    if let Command::Token(arguments) = arguments.command {
        output.line(&token(arguments)?);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = ProjectorSettings::read(|name| std::env::var(name).ok())?;
    let client = client().await;
    let feed = DynamoDbFeed::new(client.clone(), &settings.feed_table);
    match arguments.command {
        Command::Token(_) => {}
        Command::Show { order } => {
            let order = log_id(&order)?;
            if show(&feed, &order, output).await? == 0 {
                eprintln!(
                    "{order} has no log: the projector has not seen the order, or it skipped its records (\"poison record\" in its log)"
                );
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Follow { order } => {
            follow(
                &feed,
                &OrderId::try_from(order)?.into(),
                output,
                &Clock::system(),
            )
            .await?;
        }
        Command::Check { orders_table, rate } => {
            let key = &settings.rules.key;
            let orders = match orders_table {
                Some(name) => Some(OrdersTable::describe(&client, &name, key).await?),
                None => None,
            };
            let check = Check {
                client,
                settings,
                orders,
                rate,
                output,
            };
            if check.run(Clock::system().epoch_seconds()).await?.findings > 0 {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Filter => output.line(&FilterCriteria::of(&settings.rules.key)),
        Command::Backfill(arguments) => {
            backfill(client, settings, arguments, output).await?;
        }
        Command::Cost(arguments) => {
            let deployment = Deployment {
                stream_function: arguments.stream_function,
                projector_function: arguments.projector_function,
                feed_table: settings.feed_table,
                stack: arguments.stack_name,
                memory: arguments.memory.into(),
                hours: arguments.hours,
            };
            let now = SystemTime::now();
            output.line(&cost(&tables::cloud_watch().await, &deployment, now).await?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn log_id(text: &str) -> Result<LogId, OperateError> {
    match LogId::parse(text) {
        Some(log) => Ok(log),
        None => Ok(OrderId::try_from(text)?.into()),
    }
}

fn token(arguments: TokenArguments) -> Result<Token, OperateError> {
    let orders = arguments.orders.into_iter().map(OrderId::try_from);
    let request = TokenRequest {
        key: arguments.key,
        key_id: arguments.key_id,
        orders: orders.collect::<Result<_, _>>()?,
        orders_claim: arguments.orders_claim,
        // The setting `*` accepts any issuer. An empty variable is not set.
        issuer: arguments
            .issuer
            .filter(|issuer| !issuer.is_empty() && issuer != "*"),
        audience: arguments.audience.filter(|audience| !audience.is_empty()),
        lifetime: Duration::from_secs(60) * arguments.minutes,
    };
    request.sign(SystemTime::now())
}

async fn backfill(
    client: aws_sdk_dynamodb::Client,
    settings: ProjectorSettings,
    arguments: BackfillArguments,
    output: Output,
) -> Result<(), OperateError> {
    let key = &settings.rules.key;
    let orders = tables::OrdersTable::describe(&client, &arguments.orders_table, key).await?;
    let failed = arguments.failed_records.is_some();
    let source = match (&arguments.list, &arguments.failed_records) {
        (Some(list), _) => Source::Ids {
            name: list.display().to_string(),
            ids: ids::of_list(list)?,
            keys: BTreeMap::new(),
        },
        (_, Some(folder)) => {
            let keys = ids::of_failed_records(folder, &orders)?;
            Source::Ids {
                name: folder.display().to_string(),
                ids: keys.keys().cloned().collect(),
                keys,
            }
        }
        _ => Source::Table,
    };
    let backfill = Backfill {
        client,
        settings,
        orders,
        source,
        attribute: arguments.attribute,
        rate: arguments.rate,
        all: arguments.all || failed,
        dry_run: arguments.dry_run,
        checkpoint: arguments.checkpoint,
        output,
    };
    backfill.run().await?;
    Ok(())
}
