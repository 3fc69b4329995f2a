//! What a function is started with.

use std::{path::PathBuf, time::Duration};

use super::{Function, StartError, cors::Cors};

/// What a [`Function`] is started with.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(super) settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) bootstrap: PathBuf,
    pub(super) name: String,
    pub(super) variables: Vec<(String, String)>,
    pub(super) timeout: Duration,
    pub(super) max_concurrency: Option<usize>,
    pub(super) propagate_disconnect: bool,
    pub(super) cors: Option<Cors>,
}

impl Settings {
    pub(super) fn new(bootstrap: PathBuf) -> Self {
        let name = bootstrap
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            bootstrap,
            name,
            variables: Vec::new(),
            timeout: Duration::from_secs(3),
            max_concurrency: None,
            propagate_disconnect: false,
            cors: None,
        }
    }
}

impl Builder {
    /// The function's name, `AWS_LAMBDA_FUNCTION_NAME`; the file's by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// An environment variable for the processes, which get none of this process's but `PATH`.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.variables.push((name.into(), value.into()));
        self
    }

    /// The function's timeout; Lambda's default of 3 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Runs the function as on Lambda Managed Instances: up to `requests` at a time in a process. There a deadline cuts its
    /// client and leaves the process alone, for the sake of the others.
    pub fn max_concurrency(mut self, requests: usize) -> Self {
        self.settings.max_concurrency = Some(requests.max(1));
        self
    }

    /// Breaks the process's connection when a client leaves. Lambda does not; some platforms do.
    pub fn propagate_disconnect(mut self, propagate: bool) -> Self {
        self.settings.propagate_disconnect = propagate;
        self
    }

    /// Gives the Function URL CORS as `template.yaml` does, for `*` or one origin: preflights are answered without the function,
    /// and no fault is spent on them.
    pub fn cors(mut self, allow_origin: impl Into<String>) -> Self {
        self.settings.cors = Some(Cors {
            allow_origin: allow_origin.into(),
            allow_credentials: false,
        });
        self
    }

    /// [`cors`](Self::cors) with `AllowCredentials`: pages of this one origin may send cookies. Browsers refuse `*` with it.
    pub fn cors_with_credentials(mut self, allow_origin: impl Into<String>) -> Self {
        self.settings.cors = Some(Cors {
            allow_origin: allow_origin.into(),
            allow_credentials: true,
        });
        self
    }

    /// Makes the Function URL listen. No process is started before the first request.
    ///
    /// # Errors
    ///
    /// There is no bootstrap, or this machine refuses a port or a process.
    pub async fn start(self) -> Result<Function, StartError> {
        Function::start(self.settings).await
    }
}
