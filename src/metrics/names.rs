//! The metrics. A metric's name in CloudWatch is the name of its variant. `docs/operations.md` says what each one means for an
//! operator.

/// The unit of a metric, as CloudWatch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of events.
    Count,
    /// A time.
    Milliseconds,
}

impl Unit {
    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Defines an enum of metrics, with the list of all of them, and their names and units.
macro_rules! metrics {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident: $unit:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$doc])* $name,)+ }

        impl $kind {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$(stringify!($name)),+].len()] = [$(Self::$name),+];

            /// The metric's name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// The metric's unit.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)+ }
            }
        }
    };
}

metrics! {
    /// What is added up.
    Count {
        /// Responses that began with `hello`.
        StreamsOpened: Count,
        /// Those of them whose client brought a cursor: it came back.
        CheckIns: Count,
        /// Responses that ended with `end`.
        EndedFinished: Count,
        /// Responses that ended with `expired`.
        EndedExpired: Count,
        /// Responses that ended with `rest` because no change was due.
        RestedNothingDue: Count,
        /// Responses that ended with `rest` because the window was over, or the deadline or the token's end near.
        RestedWindowOver: Count,
        /// Responses that ended with `rest` because the client did not read.
        RestedSlowReader: Count,
        /// Responses that ended with `rest` because the feed could not be read.
        RestedFeedFailed: Count,
        /// Responses that ended with `rest` because the keys could not be fetched.
        RestedKeysUnavailable: Count,
        /// Responses that ended with `rest` because the client's token had opened too much.
        RestedTokenLimit: Count,
        /// Responses that ended with `rest` because of a bug.
        RestedPanicked: Count,
        /// Responses with the status 204: the client knew that its orders are finished.
        NoContent: Count,
        /// How long responses were held.
        HeldTime: Milliseconds,
        /// How long clients were told to rest.
        RestTime: Milliseconds,
        /// Changes that were sent.
        ChangesDelivered: Count,
        /// Queries of the feed.
        Reads: Count,
        /// Queries of the feed that failed.
        ReadsFailed: Count,
        /// `reset` because the entry that the client saw last has expired, or because a new visitor is not shown everything.
        ResetsTrimmed: Count,
        /// `reset` because the client's cursor cannot be read, or is not in the log.
        ResetsUnknownCursor: Count,
        /// Responses with the status 401.
        Unauthorized: Count,
        /// Responses with the status 403.
        Forbidden: Count,
        /// Responses with the status 400, 404 or 405.
        BadRequests: Count,
        /// Responses that could not be sent to Lambda to their end: most often the client has disconnected.
        ResponsesNotSent: Count,
        /// Responses that nobody read by their deadline.
        ResponsesAbandoned: Count,
        /// Changes that were appended to the feed.
        ChangesAppended: Count,
        /// Records that changed nothing that the public sees: repeated ones, and those of private attributes.
        RecordsWithoutChange: Count,
        /// Records of a stream that another one has replaced.
        RecordsOfOlderStream: Count,
        /// Records of items that are not orders.
        RecordsOfOtherItems: Count,
        /// Records that can never become a change.
        RecordsPoison: Count,
        /// Records from which on an order is delivered again.
        RecordsRetried: Count,
        /// Batches that are delivered again from their beginning.
        BatchesRetried: Count,
    }
}

metrics! {
    /// What is reported as a distribution.
    Delay {
        /// From the write of the order to the frame.
        ChangeDelay: Milliseconds,
        /// From the append to the frame.
        FeedDelay: Milliseconds,
        /// From the write of the order to the append.
        AppendDelay: Milliseconds,
        /// The age of the oldest record of a batch when the batch arrives.
        OldestRecordAge: Milliseconds,
    }
}
