//! Every state that some calls of some processes can reach together, beside one flight of the [`Store`].
//!
//! The world below is the machines as they are, a queue of commands and one of answers for each process, its wake-ups, and
//! the store. A step is one command executed, one answer or wake-up delivered, one timer, one body that ends, or a *fault*, of
//! which there are only so many: a process that is killed, a connection that breaks, a caller that is dropped, a lease that
//! runs out, a store that loses everything, a result that is gone too early, a wake-up that is lost, an answer that is late,
//! patience that is over, a result that can't be shared, a panic, a `forget`.
//!
//! Worlds that differ only in which process is which, in the numbers of tokens, and in what nothing can ask for any more are visited
//! once.
//!
//! What holds in each state: a call is answered only by an execution that was up and current when the call joined; at most
//! one body runs, and one more for each fault; whatever happens, all calls end without further faults; and then nothing is
//! left in the store, unless a process was killed.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use super::{Action, Event, Granted, Leaves, Look, Machine, State, Timer, Token, Verb};
use crate::fleet::engine::{Closed, Renewed};
use crate::fleet::store::{Seen, Store};

const LEASE: u64 = 1000;

#[derive(Debug, Clone, Copy)]
struct Setup {
    processes: usize,
    calls: usize,
    faults: u32,
    /// The store knows of a process whose connection is gone.
    presence: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Command {
    Join(Token),
    Look(Token),
    Renew(Token),
    Close(Token),
    Land(Token, Vec<u8>),
    Forget,
}

/// An answer, for a call.
type Answer = (usize, Event);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Call {
    machine: Machine,
    armed: BTreeSet<Timer>,
    listens: Option<Token>,
    /// The token of its own execution.
    own: Option<Token>,
    /// The execution whose value it looked up last.
    looked_up: Option<Token>,
    /// The body has ended.
    ended: bool,
    shareable: bool,
    gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Process {
    calls: Vec<Call>,
    connected: bool,
    killed: bool,
    commands: VecDeque<(Option<usize>, Command)>,
    answers: VecDeque<Answer>,
    told: VecDeque<Event>,
    /// Wake-ups that came before anybody listened for them.
    early: BTreeSet<Token>,
    unsure: BTreeSet<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    store: Store,
    processes: Vec<Process>,
    tokens: u128,
    faults: u32,
    /// Bodies that may run beside the first.
    beside: u32,
    /// All who wait run their bodies: no count holds.
    scattered: bool,
    killed: bool,
    forgotten: BTreeSet<Token>,
    ended: BTreeSet<Token>,
    forgets: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start(usize),
    Execute(usize),
    Answer(usize),
    Tell(usize),
    Due(usize, usize, Timer),
    Finish(usize, usize),
    Reconnect(usize),
    /// The lease of an execution whose leader is gone.
    Expire(Token),
    // From here on, faults.
    FinishUnshared(usize, usize),
    Panic(usize, usize),
    Drop(usize, usize),
    Kill(usize),
    Break(usize),
    LeaseLost(Token),
    Evict,
    ResultGone(Token),
    LoseWakeUp(usize),
    Late(usize, usize),
    Impatient(usize, usize),
    Forget(usize),
}

impl Step {
    fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::Start(_)
                | Self::Execute(_)
                | Self::Answer(_)
                | Self::Tell(_)
                | Self::Due(..)
                | Self::Finish(..)
                | Self::Reconnect(_)
                | Self::Expire(_)
        )
    }
}

impl Call {
    fn runs(&self) -> bool {
        !self.gone && !self.ended && self.machine.runs_body()
    }

    fn is_over(&self) -> bool {
        self.gone || self.machine.is_over() || (self.ended && self.machine.is_abandoned())
    }
}

impl World {
    fn new(setup: Setup) -> Self {
        let process = Process {
            connected: true,
            ..Process::default()
        };
        Self {
            store: Store::default(),
            processes: vec![process; setup.processes],
            tokens: 0,
            faults: 0,
            beside: 0,
            scattered: false,
            killed: false,
            forgotten: BTreeSet::new(),
            ended: BTreeSet::new(),
            forgets: 0,
        }
    }

    /// All steps that can be taken.
    fn steps(&self, setup: Setup) -> Vec<Step> {
        let mut steps = Vec::new();
        for (p, process) in self.processes.iter().enumerate() {
            if process.killed {
                continue;
            }
            if process.calls.len() < setup.calls && process.calls.last().is_none_or(Call::is_over) {
                steps.push(Step::Start(p));
                if self.forgets == 0 {
                    steps.push(Step::Forget(p));
                }
            }
            if !process.commands.is_empty() {
                steps.push(Step::Execute(p));
            }
            if !process.answers.is_empty() {
                steps.push(Step::Answer(p));
            }
            if !process.told.is_empty() {
                steps.push(Step::Tell(p));
                steps.push(Step::LoseWakeUp(p));
            }
            if process.connected {
                steps.push(Step::Break(p));
            } else {
                steps.push(Step::Reconnect(p));
            }
            steps.push(Step::Kill(p));
            for (c, call) in process.calls.iter().enumerate() {
                if call.is_over() {
                    continue;
                }
                steps.push(Step::Drop(p, c));
                for timer in &call.armed {
                    steps.push(match timer {
                        Timer::Look | Timer::Renew => Step::Due(p, c, *timer),
                        Timer::Slow => Step::Late(p, c),
                        Timer::Patience => Step::Impatient(p, c),
                    });
                }
                if call.runs() {
                    steps.push(Step::Finish(p, c));
                    steps.push(Step::FinishUnshared(p, c));
                    steps.push(Step::Panic(p, c));
                }
            }
        }
        for token in self.store.tokens() {
            if self.store.is_expired(token) {
                continue;
            }
            steps.push(if self.is_led(token) {
                Step::LeaseLost(token)
            } else {
                Step::Expire(token)
            });
        }
        steps.extend(self.store.results().map(Step::ResultGone));
        if self.store.tokens().next().is_some() {
            steps.push(Step::Evict);
        }
        if self.faults >= setup.faults {
            steps.retain(|step| !step.is_fault());
        }
        steps
    }

    /// Somebody polls, or still tries to end, this execution.
    fn is_led(&self, token: Token) -> bool {
        self.processes.iter().filter(|process| !process.killed).any(|process| {
            let sends = process.commands.iter().any(|(_, command)| {
                matches!(command, Command::Land(t, _) | Command::Close(t) | Command::Join(t) if *t == token)
            });
            sends
                || process.unsure.contains(&token)
                || process.calls.iter().any(|call| {
                    call.own == Some(token)
                        && !(call.machine.is_over() || matches!(call.machine.state(), State::Alone))
                })
        })
    }

    fn take(&mut self, step: Step, setup: Setup) {
        if step.is_fault() {
            self.faults += 1;
            self.beside += 1;
        }
        match step {
            Step::Start(p) => {
                self.processes[p].calls.push(Call {
                    machine: Machine::new(),
                    armed: BTreeSet::new(),
                    listens: None,
                    own: None,
                    looked_up: None,
                    ended: false,
                    shareable: true,
                    gone: false,
                });
                let c = self.processes[p].calls.len() - 1;
                self.on(p, c, Event::Start);
            }
            Step::Execute(p) => self.execute(p, setup),
            Step::Answer(p) => {
                let (call, event) = self.processes[p].answers.pop_front().expect("there is one");
                self.on(p, call, event);
            }
            Step::Tell(p) => {
                let event = self.processes[p].told.pop_front().expect("there is one");
                let (Event::Told(token) | Event::Forgotten(token)) = event else {
                    unreachable!("a wake-up");
                };
                let listeners: Vec<_> = (0..self.processes[p].calls.len())
                    .filter(|&c| {
                        let call = &self.processes[p].calls[c];
                        !call.is_over() && (call.listens == Some(token) || call.own == Some(token))
                    })
                    .collect();
                if listeners.is_empty() && event == Event::Told(token) {
                    self.processes[p].early.insert(token);
                }
                for c in listeners {
                    self.on(p, c, event.clone());
                }
            }
            Step::Due(p, c, timer) => {
                self.processes[p].calls[c].armed.remove(&timer);
                self.on(p, c, Event::Due(timer));
            }
            Step::Late(p, c) => {
                self.processes[p].calls[c].armed.remove(&Timer::Slow);
                self.on(p, c, Event::Due(Timer::Slow));
            }
            Step::Impatient(p, c) => {
                self.processes[p].calls[c].armed.remove(&Timer::Patience);
                self.on(p, c, Event::Due(Timer::Patience));
            }
            Step::Finish(p, c) => {
                self.processes[p].calls[c].ended = true;
                self.on(p, c, Event::Finished);
            }
            Step::FinishUnshared(p, c) => {
                self.scattered = true;
                self.processes[p].calls[c].ended = true;
                self.processes[p].calls[c].shareable = false;
                self.on(p, c, Event::Finished);
            }
            Step::Panic(p, c) => {
                self.scattered = true;
                self.processes[p].calls[c].ended = true;
                self.on(p, c, Event::Panicked);
            }
            Step::Drop(p, c) => {
                self.on(p, c, Event::Dropped);
                self.processes[p].calls[c].gone = true;
            }
            Step::Kill(p) => {
                self.killed = true;
                let process = &mut self.processes[p];
                *process = Process {
                    killed: true,
                    ..Process::default()
                };
            }
            Step::Break(p) => {
                // Commands that were not executed never are; answers that were on their way are lost, too.
                let process = &mut self.processes[p];
                process.connected = false;
                process.told.clear();
                let mut failed = VecDeque::new();
                let unanswered = process.answers.drain(..).map(|(call, event)| {
                    let verb = match &event {
                        Event::Joined(..) => Verb::Join,
                        Event::Looked(..) => Verb::Look,
                        Event::Renewed(_) => Verb::Renew,
                        Event::Closed(_) => Verb::Close,
                        Event::Failed(verb) => *verb,
                        _ => Verb::Land,
                    };
                    let token = match &event {
                        Event::Joined(token, _) => Some(*token),
                        Event::Closed(_) | Event::Landed => process.calls[call].own,
                        _ => None,
                    };
                    (Some(call), verb, token)
                });
                let unsent = process
                    .commands
                    .drain(..)
                    .map(|(call, command)| match command {
                        Command::Join(token) => (call, Verb::Join, Some(token)),
                        Command::Look(_) => (call, Verb::Look, None),
                        Command::Renew(_) => (call, Verb::Renew, None),
                        Command::Close(token) => (call, Verb::Close, Some(token)),
                        Command::Land(token, _) => (call, Verb::Land, Some(token)),
                        Command::Forget => (None, Verb::Land, None),
                    });
                for (call, verb, token) in unanswered.chain(unsent).collect::<Vec<_>>() {
                    if let Some(token) = token {
                        process.unsure.insert(token);
                    }
                    failed.extend(call.map(|call| (call, Event::Failed(verb))));
                }
                process.answers = failed;
            }
            Step::Reconnect(p) => {
                let process = &mut self.processes[p];
                process.connected = true;
                for token in std::mem::take(&mut process.unsure) {
                    process
                        .commands
                        .push_back((None, Command::Land(token, Vec::new())));
                }
                for c in 0..self.processes[p].calls.len() {
                    if !self.processes[p].calls[c].is_over() {
                        self.on(p, c, Event::Up);
                    }
                }
            }
            Step::Expire(token) | Step::LeaseLost(token) => self.store.expire(token),
            Step::Evict => {
                self.ended.extend(self.store.tokens());
                self.store = Store::default();
            }
            Step::ResultGone(token) => self.store.drop_result(token),
            Step::LoseWakeUp(p) => {
                self.processes[p].told.pop_front();
            }
            Step::Forget(p) => {
                self.forgets += 1;
                self.send(p, None, Command::Forget);
            }
        }
        self.holds();
    }

    fn send(&mut self, p: usize, call: Option<usize>, command: Command) {
        let process = &mut self.processes[p];
        if process.connected {
            process.commands.push_back((call, command));
            return;
        }
        let (verb, token) = match command {
            Command::Join(token) => (Verb::Join, Some(token)),
            Command::Look(_) => (Verb::Look, None),
            Command::Renew(_) => (Verb::Renew, None),
            Command::Close(token) => (Verb::Close, Some(token)),
            Command::Land(token, _) => (Verb::Land, Some(token)),
            Command::Forget => return,
        };
        process.unsure.extend(token);
        let answer = call.map(|call| (call, Event::Failed(verb)));
        process.answers.extend(answer);
    }

    fn on(&mut self, p: usize, c: usize, event: Event) {
        let mut actions = Vec::new();
        let call = &mut self.processes[p].calls[c];
        if call.gone && !call.machine.is_abandoned() {
            return;
        }
        let tokens = &mut self.tokens;
        let mut fresh = || {
            *tokens += 1;
            Token::from_u128(*tokens)
        };
        call.machine.on(event, &mut fresh, &mut actions);
        for action in actions {
            let call = &mut self.processes[p].calls[c];
            match action {
                Action::Join(token) => {
                    call.own = Some(token);
                    self.send(p, Some(c), Command::Join(token));
                }
                Action::Look(token) => self.send(p, Some(c), Command::Look(token)),
                Action::Renew(token) => self.send(p, Some(c), Command::Renew(token)),
                Action::Close(token) => self.send(p, Some(c), Command::Close(token)),
                Action::Land(token, leaves) => {
                    let bytes = match leaves {
                        Leaves::Result if call.shareable => format!("V{token}").into_bytes(),
                        Leaves::Result | Leaves::Nothing => b"X".to_vec(),
                        Leaves::Vacancy => Vec::new(),
                    };
                    self.send(p, Some(c), Command::Land(token, bytes));
                }
                Action::Arm(timer) => {
                    call.armed.insert(timer);
                }
                Action::Disarm(timer) => {
                    call.armed.remove(&timer);
                }
                Action::Listen(token) => {
                    call.listens = Some(token);
                    if self.processes[p].early.contains(&token) {
                        self.on(p, c, Event::Told(token));
                    }
                }
                Action::Take => {
                    let token = call.listens.expect("it follows");
                    assert_eq!(
                        call.looked_up,
                        Some(token),
                        "the value of the execution that was joined"
                    );
                    // It can be read, and the call is over.
                    call.gone = true;
                    call.armed.clear();
                }
                Action::Return => {
                    assert!(call.ended, "the body has a result");
                    call.armed.clear();
                }
                Action::Supersede | Action::Leads | Action::Alone(_) => {}
            }
        }
        let call = &mut self.processes[p].calls[c];
        if call.is_over() {
            // What is over is told apart by no more than whether an answer is owed to it.
            call.armed.clear();
            call.listens = None;
            call.looked_up = None;
        }
    }

    fn execute(&mut self, p: usize, setup: Setup) {
        let (call, command) = self.processes[p]
            .commands
            .pop_front()
            .expect("there is one");
        let gone: Vec<bool> = self
            .processes
            .iter()
            .map(|p| p.killed || !p.connected)
            .collect();
        let alive = |inbox: u32| !(setup.presence && gone[inbox as usize]);
        let answer = match command {
            Command::Join(token) => {
                let grant = self.store.join(1, token, p as u32, LEASE, LEASE, alive);
                let granted = if grant.token == token {
                    Granted::Leads
                } else if grant.owner == p as u32 {
                    Granted::Mine
                } else {
                    let e = &grant.token;
                    assert!(!self.ended.contains(e), "{e} has ended, and is joined");
                    assert!(
                        !self.forgotten.contains(e),
                        "{e} is forgotten, and is joined"
                    );
                    Granted::Follows(grant.token)
                };
                Event::Joined(token, granted)
            }
            Command::Look(token) => {
                let looked = match self.store.look(1, token, 100, alive) {
                    Seen::Landed(bytes) => {
                        if bytes[0] == b'V' {
                            assert_eq!(bytes, format!("V{token}").into_bytes());
                            if let Some(c) = call {
                                self.processes[p].calls[c].looked_up = Some(token);
                            }
                            Look::Landed
                        } else {
                            Look::Nothing
                        }
                    }
                    Seen::Large => Look::Nothing,
                    Seen::Up { current, .. } => Look::Up { current },
                    Seen::Gone => Look::Gone,
                };
                Event::Looked(token, looked)
            }
            Command::Renew(token) => Event::Renewed(self.store.renew(1, token, LEASE)),
            Command::Close(token) => {
                let closed = self.store.close(1, token);
                if closed == Closed::Alone {
                    self.ended.insert(token);
                }
                Event::Closed(closed)
            }
            Command::Land(token, bytes) => {
                let told = self.store.land(1, token, &bytes, LEASE);
                self.ended.insert(token);
                for inbox in told.into_iter().flatten() {
                    let process = &mut self.processes[inbox as usize];
                    if process.connected && !process.killed {
                        process.told.push_back(Event::Told(token));
                    }
                }
                Event::Landed
            }
            Command::Forget => {
                if let Some((token, told)) = self.store.forget(1) {
                    self.forgotten.insert(token);
                    for inbox in told {
                        let process = &mut self.processes[inbox as usize];
                        if process.connected && !process.killed {
                            process.told.push_back(Event::Forgotten(token));
                        }
                    }
                }
                return;
            }
        };
        // What nobody waits for changes nothing when it arrives.
        self.processes[p]
            .answers
            .extend(call.map(|call| (call, answer)));
    }

    fn bodies(&self) -> u32 {
        let calls = self.processes.iter().flat_map(|process| &process.calls);
        calls.filter(|call| call.runs()).count() as u32
    }

    fn holds(&self) {
        if !self.scattered {
            let bodies = self.bodies();
            assert!(
                bodies <= 1 + self.beside,
                "{bodies} bodies, {} faults",
                self.faults
            );
        }
    }

    /// Without further faults, everything ends.
    fn drains(mut self, setup: Setup) {
        let setup = Setup { faults: 0, ..setup };
        for round in 0.. {
            assert!(round < 400, "some call never ends: {self:#?}");
            // What is on its way comes first, then bodies end, connections come back, and leases end. Renewals change nothing.
            let mut steps = self.steps(setup);
            steps.retain(|step| !matches!(step, Step::Due(_, _, Timer::Renew)));
            let urgency = |step: &Step| match step {
                Step::Execute(_) => 0,
                Step::Answer(_) => 1,
                Step::Tell(_) => 2,
                Step::Start(_) => 3,
                Step::Finish(..) => 4,
                Step::Reconnect(_) => 5,
                Step::Expire(_) => 6,
                _ => 7,
            };
            let Some(step) = steps.into_iter().min_by_key(urgency) else {
                break;
            };
            assert!(
                self.killed || !matches!(step, Step::Expire(_)),
                "an execution that nobody leads stays up: {self:#?}"
            );
            self.take(step, setup);
        }
        let calls = self.processes.iter().flat_map(|process| &process.calls);
        for call in calls {
            assert!(call.is_over(), "a call that nothing can wake: {call:?}");
        }
        // What a killed process left goes with its lease.
        let mut left = self.store.tokens();
        assert!(left.all(|token| self.store.is_expired(token)));
        assert!(self.killed || self.store.tokens().next().is_none());
        assert!(
            self.processes
                .iter()
                .all(|process| process.unsure.is_empty())
        );
    }

    /// The same for all worlds that differ in nothing but the names of tokens and of processes, and in what can't matter any more.
    fn fingerprint(&self) -> u64 {
        let shapes: Vec<_> = self
            .processes
            .iter()
            .map(|process| {
                let mut shape = Description::default();
                process.describe(&mut shape);
                shape.bytes
            })
            .collect();
        // Processes of different shapes have one order; of those that look alike, each order is tried.
        let mut best: Option<Vec<u8>> = None;
        permutations(&mut (0..shapes.len()).collect(), 0, &mut |order| {
            if order.windows(2).all(|two| shapes[two[0]] <= shapes[two[1]]) {
                let bytes = self.describe(order);
                if best.as_ref().is_none_or(|best| bytes < *best) {
                    best = Some(bytes);
                }
            }
        });
        let hasher = foldhash::quality::FixedState::with_seed(1);
        hasher.hash_one(best.expect("one order is sorted"))
    }

    fn describe(&self, order: &[usize]) -> Vec<u8> {
        let mut out = Description::default();
        for &p in order {
            self.processes[p].describe(&mut out);
        }
        let Description { bytes, names } = &mut out;
        let place = |inbox: u32| order.iter().position(|&p| p == inbox as usize);
        self.store.describe(
            &mut |token| name(names, token),
            &|inbox| place(inbox).expect("each has a place") as u8,
            bytes,
        );
        for &p in order {
            for &token in &self.processes[p].unsure {
                bytes.push(name(names, token));
            }
            bytes.push(0);
        }
        // Of a token that nothing else has, nothing can be heard again.
        let known = |tokens: &BTreeSet<Token>| -> u64 {
            let known = names.iter().enumerate();
            known
                .filter(|(_, token)| tokens.contains(token))
                .map(|(n, _)| 1 << n)
                .sum()
        };
        let sets = order.iter().map(|&p| &self.processes[p].early);
        for set in sets.chain([&self.forgotten, &self.ended]) {
            bytes.extend(known(set).to_le_bytes());
        }
        bytes.extend([self.faults, self.beside, self.forgets].map(|n| n as u8));
        bytes.extend([self.scattered, self.killed].map(u8::from));
        out.bytes
    }
}

/// A world as bytes. Tokens are called by the order in which they come.
#[derive(Default)]
struct Description {
    bytes: Vec<u8>,
    names: Vec<Token>,
}

/// From 1 on; 0 is none.
fn name(names: &mut Vec<Token>, token: Token) -> u8 {
    let known = names.iter().position(|&it| it == token);
    let n = known.unwrap_or_else(|| {
        names.push(token);
        names.len() - 1
    });
    1 + n as u8
}

impl Description {
    fn token(&mut self, token: Option<Token>) {
        let name = token.map_or(0, |token| name(&mut self.names, token));
        self.bytes.push(name);
    }
}

/// What is hashed is written as it is, except for tokens, the only numbers of that size.
impl Hasher for Description {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }
    fn write_isize(&mut self, discriminant: isize) {
        self.bytes.push(discriminant as u8);
    }
    fn write_u128(&mut self, token: u128) {
        self.token(Some(Token::from_u128(token)));
    }
    fn finish(&self) -> u64 {
        unreachable!("it is not asked for a hash")
    }
}

impl Process {
    fn describe(&self, out: &mut Description) {
        out.bytes
            .push(u8::from(self.connected) + 2 * u8::from(self.killed));
        for call in &self.calls {
            if call.is_over() && !call.machine.is_abandoned() {
                out.bytes.push(255);
                continue;
            }
            call.machine.hash(out);
            let timers = call.armed.iter().map(|&timer| 1 << timer as u8);
            out.bytes.push(timers.sum());
            for token in [call.listens, call.own, call.looked_up] {
                out.token(token);
            }
            let flags = [call.ended, call.shareable, call.gone];
            out.bytes.extend(flags.map(u8::from));
        }
        out.bytes.push(254);
        for (call, command) in &self.commands {
            out.bytes.push(call.map_or(0, |call| 1 + call as u8));
            match command {
                // Which bytes it lands with follows from its token, but for the first one.
                Command::Land(token, bytes) => {
                    out.bytes.push(bytes.first().map_or(200, |&first| first));
                    out.token(Some(*token));
                }
                other => other.hash(out),
            }
        }
        out.bytes.push(254);
        for (call, event) in &self.answers {
            out.bytes.push(*call as u8);
            event.hash(out);
        }
        out.bytes.push(254);
        for event in &self.told {
            event.hash(out);
        }
        out.bytes.push(254);
    }
}

fn permutations(order: &mut Vec<usize>, from: usize, visit: &mut dyn FnMut(&[usize])) {
    if from == order.len() {
        return visit(order);
    }
    for n in from..order.len() {
        order.swap(from, n);
        permutations(order, from + 1, visit);
        order.swap(from, n);
    }
}

/// Visits all states, those of one fingerprint once. One in so many is seen to its end without further faults: what it goes through on
/// the way are states of the same kind.
fn visit(setup: Setup, drain_one_in: u64, mut is_new: impl FnMut(&World) -> Option<u64>) {
    let first = World::new(setup);
    is_new(&first);
    // Depth first: what is still to be visited is little beside what has been.
    let mut next = vec![first];
    while let Some(world) = next.pop() {
        for step in world.steps(setup) {
            let mut after = world.clone();
            after.take(step, setup);
            if let Some(fingerprint) = is_new(&after) {
                if fingerprint % drain_one_in == 0 {
                    after.clone().drains(setup);
                }
                next.push(after);
            }
        }
    }
}

type Seen64 = HashSet<u64, foldhash::fast::FixedState>;

/// Returns how many states there are, up to the names of processes and tokens.
fn explore(setup: Setup, drain_one_in: u64) -> usize {
    let mut seen = Seen64::default();
    visit(setup, drain_one_in, |world| {
        let fingerprint = world.fingerprint();
        let is_new = seen.insert(fingerprint);
        if is_new && seen.len() % 10_000_000 == 0 {
            eprintln!("{setup:?}: {} million states", seen.len() / 1_000_000);
        }
        is_new.then_some(fingerprint)
    });
    seen.len()
}

fn random(seed: u64, setup: Setup) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut number = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut world = World::new(setup);
    let length = number(120);
    for _ in 0..length {
        let mut steps = world.steps(setup);
        if number(6) > 0 {
            steps.retain(|step| !step.is_fault());
        }
        if steps.is_empty() {
            break;
        }
        let step = steps[number(steps.len())];
        world.take(step, setup);
    }
    world.drains(setup);
}

fn from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(number) => number.parse().expect("a number"),
        Err(_) => default,
    }
}

#[test]
fn two_processes_keep_every_promise_whatever_fails_once() {
    for presence in [false, true] {
        let setup = Setup {
            processes: 2,
            calls: 1,
            faults: 1,
            presence,
        };
        let states = explore(setup, 1);
        eprintln!("{setup:?}: {states} states");
        assert!(states > 1000);
    }
}

#[test]
fn processes_keep_every_promise_when_nothing_fails() {
    for (processes, calls) in [(3, 1), (2, 2)] {
        let setup = Setup {
            processes,
            calls,
            faults: 0,
            presence: true,
        };
        let states = explore(setup, 1);
        eprintln!("{setup:?}: {states} states");
        assert!(states > 500);
    }
}

#[test]
fn two_calls_of_each_process_keep_every_promise_whatever_fails_once() {
    let setup = Setup {
        processes: 2,
        calls: 2,
        faults: 1,
        presence: true,
    };
    let states = explore(setup, 64);
    eprintln!("{setup:?}: {states} states");
    assert!(states > 10_000);
}

/// What is left out of a fingerprint changes nothing: with all that a world has, no other fingerprints are reached.
#[test]
fn a_fingerprint_has_all_that_matters() {
    for (processes, calls, faults) in [(2, 1, 1), (2, 2, 0), (3, 1, 0)] {
        let setup = Setup {
            processes,
            calls,
            faults,
            presence: true,
        };
        let hasher = foldhash::quality::FixedState::with_seed(2);
        let (mut whole, mut reached) = (Seen64::default(), Seen64::default());
        visit(setup, u64::MAX, |world| {
            let all = hasher.hash_one(world);
            whole.insert(all).then(|| {
                reached.insert(world.fingerprint());
                1
            })
        });
        assert_eq!(reached.len(), explore(setup, u64::MAX));
        assert!(whole.len() > 2 * reached.len());
    }
}

/// `PIGGYBACK_FLEET=processes,calls,faults`, in release: minutes and gigabytes.
#[test]
fn any_number_of_processes_on_request() {
    let Ok(wanted) = std::env::var("PIGGYBACK_FLEET") else {
        return;
    };
    let wanted: Vec<u32> = wanted
        .split(',')
        .map(|n| n.parse().expect("a number"))
        .collect();
    let [processes, calls, faults] = wanted[..] else {
        panic!("processes,calls,faults");
    };
    for presence in [false, true] {
        let setup = Setup {
            processes: processes as usize,
            calls: calls as usize,
            faults,
            presence,
        };
        let begin = std::time::Instant::now();
        let states = explore(setup, from_env("PIGGYBACK_FLEET_DRAIN", 1));
        eprintln!("{setup:?}: {states} states, {:?}", begin.elapsed());
    }
}

#[test]
fn random_schedules_of_four_processes_keep_every_promise() {
    let schedules = from_env("PIGGYBACK_FLEET_SCHEDULES", 20_000);
    for seed in 0..schedules {
        for presence in [false, true] {
            let setup = Setup {
                processes: 4,
                calls: 3,
                faults: 4,
                presence,
            };
            let tried = std::panic::catch_unwind(|| random(seed, setup));
            assert!(tried.is_ok(), "schedule {seed}, presence {presence}");
        }
    }
}

#[test]
fn a_renewal_that_says_lost_ends_leadership() {
    // The one answer that changes who lands; the exploration reaches it by leases that run out and are taken over.
    let mut machine = Machine::new();
    let mut out = Vec::new();
    let token = Token::from_u128(1);
    for event in [
        Event::Start,
        Event::Joined(token, Granted::Leads),
        Event::Due(Timer::Renew),
        Event::Renewed(Renewed::Lost),
        Event::Finished,
    ] {
        machine.on(event, &mut || token, &mut out);
    }
    assert!(machine.is_over());
    let lands = |action: &Action| matches!(action, Action::Land(..) | Action::Close(_));
    assert!(!out.iter().any(lands), "{out:?}");
}

/// Their absence would only cost time, which the exploration does not have: the timer of the next look always runs.
#[test]
fn a_follower_looks_at_once_after_a_wake_up_and_after_a_reconnection() {
    let (own, flight) = (Token::from_u128(1), Token::from_u128(2));
    let looks = |events: &[Event]| {
        let mut machine = Machine::new();
        let mut out = Vec::new();
        let begin = [Event::Start, Event::Joined(own, Granted::Follows(flight))];
        for event in begin.iter().chain(events) {
            machine.on(event.clone(), &mut || own, &mut out);
        }
        let look = Action::Look(flight);
        out.iter().filter(|&&action| action == look).count()
    };
    let up = Event::Looked(flight, Look::Up { current: true });
    assert_eq!(looks(&[]), 0);
    assert_eq!(looks(&[Event::Told(flight)]), 1);
    assert_eq!(looks(&[Event::Up]), 1);
    let during_a_look = [Event::Due(Timer::Look), Event::Told(flight), up.clone()];
    assert_eq!(looks(&during_a_look), 2);
    assert_eq!(looks(&[Event::Due(Timer::Look), up]), 1);
    assert_eq!(looks(&[Event::Told(own)]), 0);
}
