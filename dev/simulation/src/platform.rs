//! Lambda: deployments, processes that start and die, and invocations with a deadline.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event;
use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::select;
use http::Response;
use order_status_stream::clock::Clock;
use order_status_stream::deadline::Deadline;
use order_status_stream::endpoint::{Body, Endpoint};
use order_status_stream::invocation::Invocation;
use order_status_stream::projector::Projector;
use order_status_stream::request::Request;
use order_status_stream::settings::{ProjectorSettings, SettingsError, StreamSettings};
use tokio::time::{Instant, timeout_at};

use crate::feed::{Caller, SimulatedFeed, Storage};
use crate::kafka::Topic;
use crate::plan::{FeedFaults, Plan, Variables};
use crate::table::Record;
use crate::tokens::Issuer;
use crate::wake::{Connection, Server};
use crate::world::{World, lock};

/// The projector's timeout.
const PROJECTOR_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of processes of the stream function.
const STREAM_PROCESSES: usize = 2;

/// See the module.
#[derive(Debug)]
pub struct Platform {
    world: Arc<World>,
    storage: Arc<Storage>,
    plan: Arc<Plan>,
    /// Makes the clients' tokens.
    pub issuer: Issuer,
    /// Wakes held responses, in some worlds.
    wake: Option<Arc<Server>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: Rng,
    variables: Variables,
    projectors: Vec<Arc<ProjectorProcess>>,
    streams: Vec<Arc<StreamProcess>>,
    started: usize,
}

#[derive(Debug)]
struct ProjectorProcess {
    caller: Arc<Caller>,
    projector: Projector<SimulatedFeed>,
    skew: f64,
    busy: AtomicBool,
    _wake: Option<Connection>,
}

/// A process of the stream function.
#[derive(Debug)]
pub struct StreamProcess {
    /// For the trace.
    pub name: String,
    endpoint: Endpoint<SimulatedFeed>,
    skew: f64,
    /// The settings of its deployment.
    pub settings: StreamSettings,
    /// The attributes that it may show.
    pub public: BTreeSet<String>,
    _wake: Option<Connection>,
}

impl Platform {
    /// A platform with the first deployment of the plan.
    ///
    /// # Errors
    ///
    /// If its settings are wrong.
    pub fn new(
        world: Arc<World>,
        storage: Arc<Storage>,
        plan: Arc<Plan>,
        mut random: Rng,
    ) -> Result<Self, String> {
        let wake = plan.wake.map(|faults| {
            let server = Server::new(Arc::clone(&world), faults, random.fork());
            Arc::new(server)
        });
        let issuer = Issuer::with_constant_key();
        let mut variables = plan.variables.clone();
        if plan.token_lifetime.is_some() {
            variables.insert("ACCESS", "jwt".to_owned());
            variables.insert("JWKS", issuer.key_set()?);
            // Otherwise a client that comes back too late would be let in for some seconds more.
            variables.insert("JWT_LEEWAY", "0s".to_owned());
        }
        let state = State {
            random,
            variables,
            projectors: Vec::new(),
            streams: Vec::new(),
            started: 0,
        };
        let platform = Self {
            world,
            storage,
            plan,
            issuer,
            wake,
            state: Mutex::new(state),
        };
        platform
            .deploy(&Variables::new())
            .map_err(|error| error.to_string())?;
        Ok(platform)
    }

    /// Deploys with changed variables. Running invocations continue to their end.
    ///
    /// # Errors
    ///
    /// If the settings are wrong.
    pub fn deploy(&self, changed: &Variables) -> Result<(), SettingsError> {
        let mut state = lock(&self.state);
        for (name, value) in changed {
            self.world
                .note(|| format!("platform: deploys {name}={value}"));
            state.variables.insert(name, value.clone());
        }
        state.projectors.clear();
        state.streams.clear();
        for _ in 0..STREAM_PROCESSES {
            let process = self.start_stream(&mut state)?;
            state.streams.push(process);
        }
        Ok(())
    }

    /// The topic with the orders, if they are in Kafka.
    pub fn topic(&self) -> Option<Topic> {
        self.plan.topic
    }

    /// The terminal statuses of the deployment.
    pub fn terminal_statuses(&self) -> BTreeSet<String> {
        let state = lock(&self.state);
        let statuses = state.variables.get("TERMINAL_STATUSES");
        statuses
            .map_or("", String::as_str)
            .split(',')
            .map(str::to_owned)
            .collect()
    }

    fn caller(&self, state: &mut State, kind: &str, faults: FeedFaults) -> (Arc<Caller>, f64) {
        state.started += 1;
        let name = format!("{kind} {}", state.started);
        let skew = self.plan.skew.as_secs_f64() * (state.random.f64() * 2.0 - 1.0);
        if skew != 0.0 {
            self.world.fault("clocks that are wrong", &name);
        }
        (
            Arc::new(Caller::new(name, faults, state.random.fork())),
            skew,
        )
    }

    fn start_stream(&self, state: &mut State) -> Result<Arc<StreamProcess>, SettingsError> {
        let variables = state.variables.clone();
        let settings = StreamSettings::read(|name| variables.get(name).cloned())?;
        // If a stream's process dies, its connections are reset. The clients simulate that.
        let faults = FeedFaults {
            killed: 0.0,
            ..self.plan.feed
        };
        let (caller, skew) = self.caller(state, "stream", faults);
        let name = caller.name.clone();
        let feed = SimulatedFeed::new(Arc::clone(&self.storage), caller);
        let (wake, connection) = self
            .wake
            .as_ref()
            .map(|server| server.listen(&name, settings.wake_poll_interval))
            .unzip();
        let public = variables
            .get("PUBLIC_ATTRIBUTES")
            .map_or("", String::as_str);
        Ok(Arc::new(StreamProcess {
            name,
            endpoint: Endpoint::new(feed, settings.clone()).with_wake(wake),
            skew,
            settings,
            public: public.split(',').map(str::to_owned).collect(),
            _wake: connection,
        }))
    }

    fn start_projector(&self, state: &mut State) -> Result<Arc<ProjectorProcess>, SettingsError> {
        let variables = state.variables.clone();
        let settings = ProjectorSettings::read(|name| variables.get(name).cloned())?;
        let faults = FeedFaults {
            panics: 0.0,
            ..self.plan.feed
        };
        let (caller, skew) = self.caller(state, "projector", faults);
        let feed = SimulatedFeed::new(Arc::clone(&self.storage), Arc::clone(&caller));
        let server = self.wake.as_ref();
        let (publisher, connection) = server.map(Server::publisher).unzip();
        let projector =
            Projector::new(feed, settings.rules, settings.retention).with_publisher(publisher);
        Ok(Arc::new(ProjectorProcess {
            caller,
            projector,
            skew,
            busy: AtomicBool::new(false),
            _wake: connection,
        }))
    }

    fn idle_projector(&self) -> Result<Arc<ProjectorProcess>, SettingsError> {
        let mut state = lock(&self.state);
        state.projectors.retain(|process| !process.caller.is_dead());
        let idle = state
            .projectors
            .iter()
            .find(|process| !process.busy.load(Ordering::Relaxed));
        let process = match idle {
            Some(process) => Arc::clone(process),
            None => {
                let process = self.start_projector(&mut state)?;
                state.projectors.push(Arc::clone(&process));
                process
            }
        };
        process.busy.store(true, Ordering::Relaxed);
        Ok(process)
    }

    fn clock(&self, skew: f64) -> Clock {
        let epoch = self.world.epoch();
        let skewed = Duration::from_secs_f64(skew.abs());
        Clock::starting_at(if skew < 0.0 {
            epoch.saturating_sub(skewed)
        } else {
            epoch + skewed
        })
    }

    /// Invokes the projector. Returns the sequence numbers of `batchItemFailures`; `None` if the invocation failed.
    pub async fn project(&self, records: &[Record]) -> Option<Vec<String>> {
        let process = self.idle_projector().ok()?;
        let name = &process.caller.name;
        self.world
            .count(|tally| tally.deliveries += records.len() as u64);
        self.world.note(|| {
            let about: Vec<_> = records.iter().map(|record| record.about.as_str()).collect();
            format!("{name}: a batch of {}", about.join(", "))
        });
        let mut batch = Event::default();
        batch.records = records.iter().map(|record| record.event.clone()).collect();
        let clock = self.clock(process.skew);
        let deadline = Instant::now() + PROJECTOR_TIMEOUT;
        let end = Deadline::new(clock.start(), Some(PROJECTOR_TIMEOUT)).end(deadline);
        let projection = async {
            match self.topic() {
                Some(topic) => {
                    let times = (&clock, end);
                    let projector = &process.projector;
                    topic.project(projector, &batch, times, &self.world).await
                }
                None => process.projector.project(&batch, &clock, end).await,
            }
        };
        let death = process.caller.death();
        let outcome = timeout_at(deadline, select(projection.boxed(), death.boxed())).await;
        process.busy.store(false, Ordering::Relaxed);
        let response = match outcome {
            Ok(futures_util::future::Either::Left((response, _))) => response,
            _ => {
                self.world.note(|| format!("{name}: died, or timed out"));
                lock(&self.state)
                    .projectors
                    .retain(|other| !Arc::ptr_eq(other, &process));
                return None;
            }
        };
        let failures = response.batch_item_failures.into_iter();
        let failures: Vec<_> = failures
            .map(|failure| failure.item_identifier.unwrap_or_default())
            .collect();
        self.world.note(|| format!("{name}: failures {failures:?}"));
        Some(failures)
    }

    /// A process for a request. If `cold` is set, it has just started.
    ///
    /// # Errors
    ///
    /// If the settings are wrong.
    pub fn stream_process(&self, cold: bool) -> Result<Arc<StreamProcess>, SettingsError> {
        let mut state = lock(&self.state);
        let index = state.random.usize(..STREAM_PROCESSES);
        if cold {
            let process = self.start_stream(&mut state)?;
            state.streams[index] = process;
        }
        Ok(Arc::clone(&state.streams[index]))
    }

    /// Sends a request to the stream function.
    pub async fn respond(
        &self,
        process: &StreamProcess,
        request: Request,
        random: Rng,
    ) -> Response<Body> {
        let clock = self.clock(process.skew);
        let deadline = clock.epoch() + self.plan.timeout;
        let deadline = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let invocation = Invocation::new(clock, deadline, random);
        process.endpoint.respond(&request, invocation).await
    }
}
