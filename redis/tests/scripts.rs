//! The scripts on a real server do what the store in memory does, command by command.

mod server;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use piggyback::fleet::{
    Engine, Flight, Heard, Joined, Listening, Looked, Memory, Reply, Terms, Token, Unanswered,
    Wakes,
};
use piggyback_redis::Redis;
use server::{Server, installed, until};

const LONG: Duration = Duration::from_secs(100);

/// One process, on both.
struct Process {
    engines: [Box<dyn Engine>; 2],
    heard: [Arc<Mutex<HashMap<Token, u32>>>; 2],
    _listening: [Listening; 2],
}

impl Process {
    fn new(memory: &Memory, server: &Server) -> Self {
        let engines: [Box<dyn Engine>; 2] = [
            Box::new(memory.process()),
            Box::new(Redis::new(server.client())),
        ];
        let up = Arc::new(Mutex::new(0));
        let heard: [Arc<Mutex<HashMap<Token, u32>>>; 2] = Default::default();
        let listening = [0, 1].map(|n| {
            let (up, heard) = (up.clone(), heard[n].clone());
            let (wakes, listening) = Wakes::to(move |news| match news {
                Heard::Up => *up.lock().expect("no panic") += 1,
                Heard::Down => {}
                Heard::Landed(token) => {
                    *heard.lock().expect("no panic").entry(token).or_default() += 1
                }
                Heard::Forgotten(token) => {
                    *heard.lock().expect("no panic").entry(token).or_default() += 1000;
                }
            });
            engines[n].start(wakes);
            listening
        });
        until("both are up", || *up.lock().expect("no panic") == 2);
        Self {
            engines,
            heard,
            _listening: listening,
        }
    }

    /// The answers of both.
    fn both<T: Send + 'static>(
        &self,
        run: impl Fn(&dyn Engine, Reply<T>),
    ) -> [Result<T, Unanswered>; 2] {
        [0, 1].map(|n| {
            let (sender, answer): (_, Receiver<_>) = channel();
            run(
                &*self.engines[n],
                Reply::new(move |answer| {
                    let _ = sender.send(answer);
                }),
            );
            answer
                .recv_timeout(Duration::from_secs(30))
                .expect("it is told")
        })
    }
}

/// Without its durations, which differ by the time between the two.
fn joined(joined: Joined) -> (u8, Option<Token>) {
    match joined {
        Joined::Leads => (0, None),
        Joined::Follows {
            token, lease_left, ..
        } => {
            assert!(lease_left > LONG / 2);
            (1, Some(token))
        }
        Joined::Mine => (2, None),
    }
}

fn looked(looked: Looked) -> (u8, Vec<u8>, bool) {
    match looked {
        Looked::Landed(bytes) => (0, bytes, false),
        Looked::Large => (1, Vec::new(), false),
        Looked::Up {
            lease_left,
            current,
        } => {
            assert!(lease_left > LONG / 2);
            (2, Vec::new(), current)
        }
        Looked::Gone => (3, Vec::new(), false),
    }
}

/// The names of flights are the core's own; these come from calls that it makes.
fn flights() -> Vec<Flight> {
    struct Names(Arc<Mutex<Vec<Flight>>>);
    impl Engine for Names {
        fn start(&self, wakes: Wakes) {
            wakes.up();
        }
        fn join(&self, flight: &Flight, _: Token, _: Terms, _: Reply<Joined>) {
            self.0.lock().expect("no panic").push(flight.clone());
        }
        fn look(&self, _: &Flight, _: Token, _: usize, _: Reply<Looked>) {}
        fn renew(&self, _: &Flight, _: Token, _: Duration, _: Reply<piggyback::fleet::Renewed>) {}
        fn close(&self, _: &Flight, _: Token, _: Reply<piggyback::fleet::Closed>) {}
        fn land(&self, _: &Flight, _: Token, _: Vec<u8>, _: Duration, _: Reply<()>) {}
        fn forget(&self, _: &Flight, _: Reply<()>) {}
        fn suspect(&self) {}
    }
    let names = Arc::default();
    let fleet = piggyback::fleet::Fleet::new("te{s}t", Names(Arc::clone(&names))).with_build("1");
    for key in ["a", "b {}\n\0"] {
        let mut call = Box::pin(fleet.share("f", key, async { 1 }));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = call.as_mut().poll(&mut cx);
    }
    names.lock().expect("no panic").clone()
}

#[test]
fn random_commands_are_answered_as_by_the_store_in_memory() {
    if !installed() {
        return;
    }
    let commands: u64 = std::env::var("PIGGYBACK_FLEET_COMMANDS")
        .map_or(20_000, |number| number.parse().expect("a number"));
    let server = Server::start(&[]);
    let memory = Memory::new();
    let processes = [(); 3].map(|()| Process::new(&memory, &server));
    let flights = flights();
    assert_eq!(flights.len(), 2);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut tokens: Vec<Token> = vec![Token::from_u128(1)];
    for step in 0..commands {
        let process = &processes[number(processes.len())];
        let flight = &flights[number(flights.len())];
        let recent = tokens.len() - 1 - number(tokens.len().min(6));
        let token = tokens[recent];
        let what = number(10);
        match what {
            0..=3 => {
                let token = Token::from_u128(u128::from(step) + 2);
                tokens.push(token);
                let max_age = LONG;
                let terms = Terms {
                    lease: LONG,
                    max_age,
                };
                let [a, b] = process.both(|engine, reply| engine.join(flight, token, terms, reply));
                assert_eq!(a.map(joined), b.map(joined), "step {step}: join");
            }
            4 | 5 => {
                let max = [0, 3, 100][number(3)];
                let [a, b] = process.both(|engine, reply| engine.look(flight, token, max, reply));
                assert_eq!(a.map(looked), b.map(looked), "step {step}: look");
            }
            6 => {
                let [a, b] = process.both(|engine, reply| engine.renew(flight, token, LONG, reply));
                assert_eq!(a, b, "step {step}: renew");
            }
            7 => {
                let [a, b] = process.both(|engine, reply| engine.close(flight, token, reply));
                assert_eq!(a, b, "step {step}: close");
            }
            8 => {
                let bytes = [&b""[..], b"X", b"V123\0\xff"][number(3)];
                let [a, b] = process.both(|engine, reply| {
                    engine.land(flight, token, bytes.to_vec(), LONG, reply);
                });
                assert_eq!(a, b, "step {step}: land");
            }
            _ => {
                let [a, b] = process.both(|engine, reply| engine.forget(flight, reply));
                assert_eq!(a, b, "step {step}: forget");
            }
        }
    }
    for (n, process) in processes.iter().enumerate() {
        let heard = |n: usize| process.heard[n].lock().expect("no panic").clone();
        until("the same wake-ups came", || heard(0) == heard(1));
        assert!(!heard(0).is_empty(), "process {n}");
    }
}

#[test]
fn time_ends_a_lease_and_an_old_execution_is_not_joined() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let memory = Memory::new();
    let [a, b] = [(); 2].map(|()| Process::new(&memory, &server));
    let flight = &flights()[0];
    let short = Duration::from_millis(200);
    let wait = || std::thread::sleep(Duration::from_millis(400));
    let join = |process: &Process, token, lease, max_age| {
        let terms = Terms { lease, max_age };
        let answers = process.both(|engine, reply| engine.join(flight, token, terms, reply));
        let [memory, redis] = answers.map(|answer| match answer.expect("it answers") {
            Joined::Leads => "leads",
            Joined::Follows { .. } => "follows",
            Joined::Mine => "mine",
        });
        assert_eq!(memory, redis);
        redis
    };
    let look = |process: &Process, token| {
        let [memory, redis] = process.both(|engine, reply| engine.look(flight, token, 9, reply));
        let [memory, redis] = [memory, redis].map(|looked| match looked.expect("it answers") {
            Looked::Up { current, .. } => (1, current),
            Looked::Gone => (2, false),
            Looked::Landed(_) | Looked::Large => (3, false),
        });
        assert_eq!(memory, redis);
        redis
    };
    let [one, two, three, four, five] = [1, 2, 3, 4, 5].map(Token::from_u128);

    // A lease that nobody renews ends, and nothing is left.
    assert_eq!(join(&a, one, short, LONG), "leads");
    assert_eq!(join(&b, two, short, LONG), "follows");
    assert_eq!(look(&b, one), (1, true));
    wait();
    assert!(server.keys().is_empty());
    assert_eq!(look(&b, one), (2, false));

    // One that is renewed lives on, and one that is too old is no longer joined, but still up.
    assert_eq!(join(&a, three, short, LONG), "leads");
    let renewed = a.both(|engine, reply| engine.renew(flight, three, LONG, reply));
    assert_eq!(renewed[0], renewed[1]);
    wait();
    assert_eq!(look(&b, three), (1, true));
    assert_eq!(join(&b, four, short, short), "leads");
    assert_eq!(look(&b, three), (1, false));
    // Its lease ends beside one that lives: whoever joins next begins anew.
    wait();
    assert_eq!(join(&a, five, LONG, LONG), "leads");
    assert_eq!(look(&a, five), (1, true));

    // Whoever lost its lease can't renew it once somebody has noticed, be it by a JOIN or by a LOOK.
    let lost = |token| {
        let renewed = a.both(|engine, reply| engine.renew(flight, token, LONG, reply));
        assert_eq!(renewed, [Ok(piggyback::fleet::Renewed::Lost); 2]);
    };
    lost(four);
    assert_eq!(look(&a, four), (2, false));
    let forgotten = a.both(|engine, reply| engine.forget(flight, reply));
    assert_eq!(forgotten, [Ok(()); 2]);
    let six = Token::from_u128(6);
    assert_eq!(join(&a, six, short, LONG), "leads");
    wait();
    assert_eq!(look(&b, six), (2, false));
    lost(six);

    // A result is kept for as long as was said.
    for token in [five, three] {
        let landed =
            a.both(|engine, reply| engine.land(flight, token, b"V1".to_vec(), short, reply));
        assert_eq!(landed, [Ok(()); 2]);
    }
    assert_eq!(look(&b, three), (3, false));
    wait();
    assert_eq!(look(&b, three), (2, false));
    assert!(server.keys().is_empty());
}
