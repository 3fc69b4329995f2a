//! What is measured: the release binary, and the same on Node.js.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use local::dynamo::FEED;

use super::feed::Harness;
use super::process::Program;

/// The programs side by side.
pub(super) struct Programs {
    ours: Program,
    /// The error says why they cannot be measured.
    pub others: Result<Vec<Program>, String>,
}

impl Programs {
    pub(super) fn new(harness: &Harness) -> Self {
        Self {
            ours: ours(harness),
            others: node(harness),
        }
    }

    /// Ours is the first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Program> {
        std::iter::once(&self.ours).chain(self.others.iter().flatten())
    }
}

fn ours(harness: &Harness) -> Program {
    let functions = PathBuf::from(std::env::var_os("FUNCTIONS").unwrap_or_default());
    function("order-status-stream", harness, &functions.join("stream"))
}

/// One of the two functions. Each ignores the variables of the other.
pub(super) fn function(name: &'static str, harness: &Harness, binary: &Path) -> Program {
    let mut variables = common(harness);
    variables.extend([
        ("FEED_TABLE", OsString::from(FEED)),
        ("ACCESS", "open".into()),
        ("PUBLIC_ATTRIBUTES", "carrier,eta,parcels".into()),
        ("SSL_CERT_FILE", harness.front.bundle.clone().into()),
    ]);
    Program {
        name,
        command: vec![binary.into()],
        variables,
    }
}

/// The function of `dev/bench/node` on `aws-lambda-ric`, with and without a query at the start of its process.
fn node(harness: &Harness) -> Result<Vec<Program>, String> {
    let file = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let existing = |variable| file(variable).filter(|file| file.exists());
    let runtime = existing("NODE_RUNTIME").ok_or("npm or Node.js is missing")?;
    let bundle = existing("NODE_BUNDLE").ok_or("the function was not bundled")?;
    let folder = bundle.parent().unwrap_or(&bundle);
    let variables = |prepare: &str| {
        let mut variables = common(harness);
        variables.extend([
            ("FEED_TABLE", OsString::from(FEED)),
            ("PUBLIC_ATTRIBUTES", "carrier,eta,parcels".into()),
            (
                "NODE_EXTRA_CA_CERTS",
                harness.front.authority.clone().into(),
            ),
            ("LAMBDA_TASK_ROOT", folder.into()),
            ("_HANDLER", "stream.handler".into()),
            ("PREPARE", prepare.into()),
        ]);
        variables
    };
    let program = |name, prepare| Program {
        name,
        command: vec![
            "node".into(),
            runtime.clone().into(),
            "stream.handler".into(),
        ],
        variables: variables(prepare),
    };
    Ok(vec![
        program("Node.js", ""),
        program("Node.js, connected in Init", "1"),
    ])
}

/// What Lambda sets.
fn common(harness: &Harness) -> Vec<(&'static str, OsString)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    vec![
        ("PATH", path),
        ("AWS_ACCESS_KEY_ID", "local".into()),
        (
            "AWS_ENDPOINT_URL_DYNAMODB",
            harness.front.url.clone().into(),
        ),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
        ("AWS_LAMBDA_FUNCTION_NAME", "stream".into()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/stream".into()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_SECRET_ACCESS_KEY", "local".into()),
        ("AWS_SESSION_TOKEN", "local".into()),
        ("LANG", "en_US.UTF-8".into()),
        ("TZ", ":UTC".into()),
    ]
}
