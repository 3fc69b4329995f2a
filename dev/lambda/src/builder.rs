//! How a function is configured.

use std::path::PathBuf;
use std::time::Duration;

use crate::host::cors::Cors;
use crate::settings::Settings;

/// Configures a [`Function`](crate::Function).
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) settings: Settings,
    pub(crate) cors: Option<Cors>,
    pub(crate) stage: Option<String>,
}

impl Builder {
    pub(crate) fn new(bootstrap: PathBuf) -> Self {
        Self {
            settings: Settings::new(bootstrap),
            cors: None,
            stage: None,
        }
    }

    /// Sets `AWS_LAMBDA_FUNCTION_NAME`. The default is the file's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Sets an environment variable for the processes. Of this process's own variables they get only `PATH`.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.variables.push((name.into(), value.into()));
        self
    }

    /// Sets the function's timeout. The default is Lambda's: 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Runs the function as on Lambda Managed Instances: up to `requests` at a time in a process. There a deadline closes only
    /// the client's connection, and the process goes on, because it serves other requests.
    pub fn max_concurrency(mut self, requests: usize) -> Self {
        self.settings.max_concurrency = Some(requests.max(1));
        self
    }

    /// Breaks the process's connection if a client leaves. Lambda does not do this; some platforms do.
    pub fn propagate_disconnect(mut self, propagate: bool) -> Self {
        self.settings.propagate_disconnect = propagate;
        self
    }

    /// Puts a REST API of API Gateway in the place of the Function URL, with the response transfer mode `STREAM`. The streams are
    /// below the path of this stage, such as `live`. It adds no CORS headers.
    pub fn rest_api(mut self, stage: impl Into<String>) -> Self {
        self.stage = Some(stage.into());
        self
    }

    /// Gives the Function URL CORS as `template.yaml` does, for `*` or one origin. Preflight requests are answered without the
    /// function, and they use up no fault.
    pub fn cors(mut self, allow_origin: impl Into<String>) -> Self {
        self.cors = Some(Cors {
            allow_origin: allow_origin.into(),
            allow_credentials: false,
        });
        self
    }

    /// Is [`cors`](Self::cors) with `AllowCredentials`: pages of this one origin may send cookies. Browsers do not accept `*`
    /// with it.
    pub fn cors_with_credentials(mut self, allow_origin: impl Into<String>) -> Self {
        self.cors = Some(Cors {
            allow_origin: allow_origin.into(),
            allow_credentials: true,
        });
        self
    }
}
