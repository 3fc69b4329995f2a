//! Runs a seed.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use order_status_stream::order::OrderId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::chance::Chance;
use crate::check;
use crate::client::Client;
use crate::feed::Storage;
use crate::plan::{Plan, Switch, Variables, WRONG};
use crate::platform::Platform;
use crate::script::script;
use crate::shop::{Shop, Write};
use crate::source::Mapping;
use crate::world::{Kind, Tally, World};

/// The result of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was counted.
    pub tally: Tally,
    /// Every promise that was broken.
    pub findings: Vec<String>,
    /// Everything that happened, if a trace was requested.
    pub trace: Vec<String>,
}

/// Runs the world of a seed in simulated time.
///
/// # Errors
///
/// If the machine cannot make a runtime.
pub fn simulate(seed: u64, traced: bool) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut random = Rng::with_seed(seed);
    let plan = Arc::new(Plan::draw(&mut random));
    let world = runtime.block_on(async {
        let world = Arc::new(World::new(plan.epoch, traced));
        world.note(|| format!("{plan:#?}"));
        match Simulation::new(&world, &plan, random) {
            Ok(simulation) => simulation.run().await,
            Err(error) => world.finding(Kind::Other, error),
        }
        world
    });
    let (tally, findings, trace) = world.results();
    Ok(Outcome {
        seed,
        tally,
        findings,
        trace,
    })
}

/// An event of the whole system.
#[derive(Clone, Debug)]
enum Step {
    Write(String, Write),
    Replicate,
    Deploy(Variables),
    Sweep,
    OpenReplica,
    CloseFirst,
    Switch,
    RollBack,
}

struct Simulation {
    world: Arc<World>,
    plan: Arc<Plan>,
    storage: Arc<Storage>,
    platform: Arc<Platform>,
    shop: Shop,
    mappings: Vec<Arc<Mapping>>,
    random: Rng,
    orders: Vec<String>,
    /// Whether each order's changes came from one stream at a time.
    exact: bool,
}

impl Simulation {
    fn new(world: &Arc<World>, plan: &Arc<Plan>, mut random: Rng) -> Result<Self, String> {
        let storage = Arc::new(Storage::new(
            Arc::clone(world),
            plan.feed.lag,
            random.fork(),
        ));
        let platform = Platform::new(
            Arc::clone(world),
            Arc::clone(&storage),
            Arc::clone(plan),
            random.fork(),
        )?;
        let platform = Arc::new(platform);
        let shop = Shop::new(Arc::clone(world), plan, random.fork());
        let first = Mapping::open(shop.stream(), &platform, world, plan.source, &mut random);
        Ok(Self {
            world: Arc::clone(world),
            plan: Arc::clone(plan),
            storage,
            platform,
            shop,
            mappings: vec![first],
            orders: (1..=plan.orders)
                .map(|number| format!("A-{number}"))
                .collect(),
            random,
            exact: !matches!(plan.switch, Some(Switch::Lagging | Switch::Replica)),
        })
    }

    async fn run(mut self) {
        let mut clients = JoinSet::new();
        for client in self.clients() {
            clients.spawn(client.run());
        }
        self.run_steps().await;
        let mut clients = joined(clients).await;
        self.world.stop_faults();
        if !self.drain().await {
            return;
        }
        check::log(&self.world, &self.storage, &self.shop, self.exact);
        check::customers(&self.world, &self.storage, &self.plan, self.exact);
        check::dwells(&self.world, &self.storage, &self.shop, &self.plan);
        self.touch().await;
        check::ends(
            &self.world,
            &self.storage,
            &self.shop,
            &self.platform.terminal_statuses(),
        );
        clients.extend(self.newcomers());
        let mut settling = JoinSet::new();
        for client in clients {
            settling.spawn(client.settle());
        }
        let clients = joined(settling).await;
        for client in &clients {
            check::lives(&self.world, &self.storage, client);
        }
        self.world.count(|tally| {
            tally.lives = self
                .shop
                .histories
                .values()
                .map(crate::model::History::lives)
                .sum()
        });
    }

    fn clients(&mut self) -> Vec<Client> {
        let mut watched: Vec<Vec<String>> = Vec::new();
        for order in self.orders.clone() {
            for _ in 0..self.random.usize(1..3) {
                watched.push(vec![order.clone()]);
            }
        }
        if self.random.bool() {
            let mut several = self.orders.clone();
            self.random.shuffle(&mut several);
            several.truncate(self.random.usize(2..5));
            watched.push(several);
        }
        if self.random.chance(0.2) {
            watched.push(vec!["nobody".to_owned()]);
        }
        let clients = (1..).zip(watched);
        let mut clients: Vec<_> = clients
            .map(|(number, orders)| {
                let visits = self.visits();
                self.client(format!("client {number}"), orders, visits)
            })
            .collect();
        for customer in self.plan.customers {
            for number in 1..=self.random.usize(1..3) {
                let visits = self.visits();
                let name = format!("client {number} of {customer}");
                clients.push(self.client(name, Vec::new(), visits).of_customer(customer));
            }
        }
        clients
    }

    fn visits(&mut self) -> Vec<(Duration, Duration)> {
        let mut visits = Vec::new();
        let mut after = Duration::ZERO;
        for act in &self.plan.acts {
            if self.random.chance(0.3) {
                continue;
            }
            for _ in 0..self.random.usize(1..3) {
                let from = act.start.max(after) + act.length.mul_f64(self.random.f64() * 0.8);
                let until = from + self.random.magnitude(3.0, 150.0);
                visits.push((from, until));
                after = until;
            }
        }
        visits
    }

    fn client(
        &mut self,
        name: String,
        orders: Vec<String>,
        visits: Vec<(Duration, Duration)>,
    ) -> Client {
        let shared = (&self.world, &self.platform, &self.storage, &self.plan);
        Client::new(name, orders, visits, shared, self.random.fork())
    }

    /// A client for each order and each customer that opens it for the first time at the end.
    fn newcomers(&mut self) -> Vec<Client> {
        let orders = self.orders.clone().into_iter();
        let mut newcomers: Vec<_> = orders
            .map(|order| self.client(format!("newcomer to {order}"), vec![order], Vec::new()))
            .collect();
        for customer in self.plan.customers {
            let name = format!("newcomer of {customer}");
            newcomers.push(
                self.client(name, Vec::new(), Vec::new())
                    .of_customer(customer),
            );
        }
        newcomers
    }

    fn steps(&mut self) -> Vec<(Duration, Step)> {
        let mut steps = Vec::new();
        for (number, order) in self.orders.clone().into_iter().enumerate() {
            for (at, write) in script(&self.plan, number, &mut self.random) {
                steps.push((at, Step::Write(order.clone(), write)));
            }
        }
        for (at, variables) in &self.plan.deployments {
            steps.push((*at, Step::Deploy(variables.clone())));
        }
        for act in &self.plan.acts {
            steps.push((act.start, Step::Sweep));
        }
        let act = self.random.one(&self.plan.acts);
        let at = act.start + act.length.mul_f64(self.random.f64());
        let later = at + self.random.magnitude(5.0, 600.0);
        match self.plan.switch {
            None => {}
            Some(Switch::Replica) => {
                steps.push((at, Step::OpenReplica));
                if self.random.bool() {
                    steps.push((later, Step::CloseFirst));
                }
            }
            Some(Switch::Orderly | Switch::Lagging) => {
                steps.push((at, Step::Switch));
                if self.random.bool() {
                    steps.push((later, Step::RollBack));
                }
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    async fn run_steps(&mut self) {
        let start = self.world.start();
        // A write reaches the replica some time after the table.
        let mut replicated = Vec::<Instant>::new();
        let mut delay = Duration::ZERO;
        for (at, step) in self.steps() {
            let at = start + at + delay;
            while replicated.first().is_some_and(|due| *due <= at) {
                sleep_until(replicated.remove(0)).await;
                self.step(Step::Replicate).await;
            }
            sleep_until(at).await;
            if self.step(step).await {
                let lag = self.random.magnitude(0.2, 3.0);
                let earliest = replicated.last().copied().unwrap_or(at);
                replicated.push(earliest.max(Instant::now() + lag));
            }
            // If a step had to wait, all later ones move.
            delay += Instant::now().saturating_duration_since(at);
        }
        for due in replicated {
            sleep_until(due).await;
            self.step(Step::Replicate).await;
        }
    }

    /// Returns whether a replica must be written later.
    async fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Write(order, write) => return self.shop.write(&order, write),
            Step::Replicate => self.shop.replicate(),
            Step::Deploy(variables) => {
                let wrong = variables.values().any(|value| value == WRONG);
                let kind = if wrong {
                    "wrong settings"
                } else {
                    "deployments"
                };
                self.world.fault(kind, "platform");
                if let Err(error) = self.platform.deploy(&variables) {
                    self.world.finding(Kind::Other, error.to_string());
                }
            }
            Step::Sweep => self.storage.sweep(),
            Step::OpenReplica => {
                self.world.fault("stream switches", "shop");
                let stream = self.shop.copy_table(Switch::Replica);
                self.open(stream);
            }
            Step::CloseFirst => {
                if let Some(first) = self.mappings.first() {
                    first.close(&self.world);
                }
            }
            Step::Switch => self.switch().await,
            Step::RollBack => self.roll_back().await,
        }
        false
    }

    fn open(&mut self, stream: Arc<crate::table::Stream>) {
        let mapping = Mapping::open(
            stream,
            &self.platform,
            &self.world,
            self.plan.source,
            &mut self.random,
        );
        self.mappings.push(mapping);
    }

    async fn switch(&mut self) {
        self.world.fault("stream switches", "shop");
        let kind = self.plan.switch.unwrap_or(Switch::Lagging);
        if kind == Switch::Orderly {
            self.exact &= self.drained(Duration::from_secs(10_000)).await;
        }
        self.lag_behind();
        sleep(Shop::SECONDS_APART).await;
        let stream = self.shop.copy_table(kind);
        self.open(stream);
    }

    async fn roll_back(&mut self) {
        self.world.fault("stream switches", "shop");
        if self.plan.switch == Some(Switch::Orderly) {
            self.exact &= self.drained(Duration::from_secs(10_000)).await;
        }
        self.lag_behind();
        sleep(Shop::SECONDS_APART).await;
        self.shop.roll_back();
    }

    /// Pauses the stream that was written until now, so that its last records come after the next stream's first ones.
    fn lag_behind(&mut self) {
        if self.plan.switch == Some(Switch::Lagging)
            && self.random.bool()
            && let Some(newest) = self.mappings.last()
        {
            newest.pause(self.random.magnitude(4.0, 600.0), &self.world);
        }
    }

    async fn drained(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let is_drained = || {
            let all_confirmed = self.storage.confirmed_streams() == self.mappings.len();
            let mut mappings = self.mappings.iter();
            mappings.all(|mapping| mapping.is_drained(all_confirmed))
        };
        while !is_drained() {
            if Instant::now() > until {
                return false;
            }
            sleep(Duration::from_millis(500)).await;
        }
        true
    }

    /// Waits until every record has been delivered. There are no faults any more.
    async fn drain(&self) -> bool {
        let drained = self.drained(Duration::from_secs(10_000)).await;
        if !drained {
            self.world
                .finding(Kind::Lost, "the source makes no progress".to_owned());
        }
        // After this time, invocations that hang and doubled batches are over, too.
        sleep(Duration::from_secs(180)).await;
        drained
    }

    /// The shop touches every order, so that changed settings take effect on it.
    async fn touch(&mut self) {
        if self.plan.deployments.is_empty() {
            return;
        }
        sleep(Shop::SECONDS_APART).await;
        for order in self.orders.clone() {
            self.shop.touch(&order);
        }
        self.drain().await;
    }
}

async fn joined(mut clients: JoinSet<Client>) -> Vec<Client> {
    let mut joined = Vec::new();
    while let Some(client) = clients.join_next().await {
        joined.extend(client);
    }
    joined
}

/// An order's id.
pub fn order_id(order: &str) -> Option<OrderId> {
    OrderId::try_from(order).ok()
}
